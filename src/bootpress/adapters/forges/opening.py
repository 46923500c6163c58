"""Open the forge of a connection, once, and share it."""

from __future__ import annotations

import threading
from pathlib import Path

from bootpress.core.errors import Unsupported
from bootpress.core.ports import Forge, ForgeConnection


class OpenForges:
    """The port `Forges`; `local_folder` is where the embedded forge keeps its repositories and runs."""

    def __init__(self, *, local_folder: Path) -> None:
        self._local_folder = local_folder
        self._open: dict[ForgeConnection, Forge] = {}
        self._lock = threading.Lock()

    @property
    def local_url(self) -> str:
        """Return the URL of the embedded forge."""
        return self._local_folder.absolute().as_uri()

    def open(self, connection: ForgeConnection) -> Forge:
        """Return the forge of a connection."""
        with self._lock:
            if connection not in self._open:
                self._open[connection] = self._make(connection)
            return self._open[connection]

    def _make(self, connection: ForgeConnection) -> Forge:
        raise Unsupported(f"there is no adapter for {connection.kind} yet")
