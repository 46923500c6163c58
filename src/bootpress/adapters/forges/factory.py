"""Open the forge of a connection, once, and share it."""

from __future__ import annotations

import threading
from pathlib import Path
from uuid import UUID

from bootpress.adapters.forges.embedded import LocalForge, account_folder, account_ids
from bootpress.adapters.forges.gitea import GiteaForge, KeyedLocks
from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import ForgeRefused
from bootpress.core.ports import Forge, ForgeConnection, ForgeKind

MAX_OPEN = 64
"""Connections that are kept: each try with another token is another one."""


class ConnectionForgeFactory:
    """The port `Forges`; `local_folder` holds the embedded forges, one for each account.

    They encrypt their secrets with `box`.
    """

    def __init__(self, *, local_folder: Path, box: SecretCipher) -> None:
        self._local_folder = local_folder.absolute()
        self._box = box
        self._open: dict[ForgeConnection, Forge] = {}
        self._turns = KeyedLocks()
        self._lock = threading.Lock()

    def local_url(self, account_id: UUID) -> str:
        """Return the URL of an account's embedded forge."""
        return account_folder(self._local_folder, account_id).as_uri()

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
            return LocalForge(self._folder_of(connection.url), self._box)
        return GiteaForge(connection.url, connection.token, turns=self._turns)

    def _folder_of(self, url: str) -> Path:
        """Return the folder of an account's embedded forge, and of nothing else that a URL may lead to."""
        for account_id in account_ids([url.rpartition("/")[2]]):
            if url == self.local_url(account_id):
                return account_folder(self._local_folder, account_id)
        raise ForgeRefused(f"{url[:200]} is no embedded forge of this installation", hint="connect it again")
