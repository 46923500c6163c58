"""A bounded table of connections with an idle timeout: the least recently used one gives way where it is full."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

AGAIN_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there are, and for how many seconds each may pass no byte."""

    connections: int = 256
    idle: float = 600.0
    """Afterwards a connection is cut off; a server may need minutes to check what was uploaded."""
    grace: float = 5.0
    """Afterwards a connection may be cut off for a new one, where there are as many as there may be."""


class Connection:
    """One connection of the table: its sockets, when a byte was last passed, and whether it is the client's turn."""

    def __init__(self, client: socket.socket, now: float) -> None:
        self.client, self.server = client, client
        self.since = now
        self.waits_for_client = True
        self.is_cut_off = False

    def cut_off(self) -> None:
        """Wake whoever reads or writes; both sockets stay open until their thread closes them."""
        self.is_cut_off = True
        for end in (self.client, self.server):
            with suppress(OSError):  # it has gone already
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close both sockets, once the table has forgotten them: it must not shut down a descriptor of another."""
        self.client.close()
        self.server.close()


class ConnectionTable:
    """The connections that are open; used by the thread that accepts, and by those of the connections."""

    def __init__(self, bounds: Bounds, *, now: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._now = now
        self._open: set[Connection] = set()
        self._changed = threading.Condition()

    def add(self, client: socket.socket) -> Connection:
        """Return an entry for a new connection; the least recently used one is cut off where there is no room."""
        with self._changed:
            while len(self._open) >= self._bounds.connections:
                self._make_room()
                self._changed.wait(AGAIN_SECONDS)
            added = Connection(client, self._now())
            self._open.add(added)
            return added

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        with self._changed:
            self._open.discard(connection)
            self._changed.notify_all()

    def serve_by(self, connection: Connection, server: socket.socket) -> None:
        """Name the socket of the server that a connection is relayed to."""
        with self._changed:
            connection.server = server
            if connection.is_cut_off:
                connection.cut_off()

    def touch(self, connection: Connection, sink: socket.socket) -> None:
        """Note that bytes were passed on to one of the sockets of a connection."""
        connection.since = self._now()
        connection.waits_for_client = sink is connection.client

    def cut_off_idle(self) -> None:
        """Cut off every connection beyond the idle timeout."""
        with self._changed:
            for one in self._idle_for(self._bounds.idle):
                one.cut_off()

    def _make_room(self) -> None:
        """Cut off one: a client whose turn it is before one that may be waiting for an answer."""
        idle = self._idle_for(self._bounds.grace)
        if idle:
            min(idle, key=lambda one: (not one.waits_for_client, one.since)).cut_off()

    def _idle_for(self, seconds: float) -> list[Connection]:
        latest = self._now() - seconds
        return [one for one in self._open if one.since <= latest and not one.is_cut_off]
