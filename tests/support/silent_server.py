"""A server that takes connections and says nothing, until it is told to hang up."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class SilentServer:
    """Counts who came; keeps every connection open."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=500)
        self._held: list[socket.socket] = []
        self._is_over = False
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def count(self) -> int:
        """Return how many connections came so far."""
        return len(self._held)

    def hang_up(self) -> None:
        """Close every connection, and refuse all that come."""
        self._is_over = True
        self._listening.close()
        for one in [*self._held]:
            one.close()

    def _accept(self) -> None:
        while not self._is_over:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._held.append(connection)
            if self._is_over:
                connection.close()


@contextmanager
def silent_server() -> Iterator[SilentServer]:
    """Run one until the end of the block."""
    server = SilentServer()
    try:
        yield server
    finally:
        server.hang_up()
