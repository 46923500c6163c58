"""Open the forge of a connection, once, and share it."""

from __future__ import annotations

import threading
from pathlib import Path

from bootpress.adapters.forges.gitea import GiteaForge, Turns
from bootpress.adapters.forges.local import LocalForge
from bootpress.core.ports import Forge, ForgeConnection, ForgeKind
from bootpress.core.secrets_at_rest import SecretBox

MAX_OPEN = 64
"""Connections that are kept: each try with another token is another one."""


class OpenForges:
    """The port `Forges`; `local_folder` is where the embedded forge keeps its repositories and runs.

    It encrypts its secrets with `box`.
    """

    def __init__(self, *, local_folder: Path, box: SecretBox) -> None:
        self._local_folder = local_folder.absolute()
        self._box = box
        self._open: dict[ForgeConnection, Forge] = {}
        self._turns = Turns()
        self._lock = threading.Lock()

    @property
    def local_url(self) -> str:
        """Return the URL of the embedded forge."""
        return self._local_folder.as_uri()

    def open(self, connection: ForgeConnection) -> Forge:
        """Return the forge of a connection."""
        with self._lock:
            forge = self._open.pop(connection, None) or self._make(connection)
            if len(self._open) >= MAX_OPEN:
                del self._open[next(iter(self._open))]  # who still uses it keeps it
            self._open[connection] = forge
            return forge

    def _make(self, connection: ForgeConnection) -> Forge:
        if connection.kind is ForgeKind.LOCAL:
            return LocalForge(self._local_folder, self._box)
        return GiteaForge(connection.url, connection.token, turns=self._turns)
