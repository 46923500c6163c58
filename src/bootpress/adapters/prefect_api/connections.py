"""Connections, kept as Prefect blocks: `ociregistry` for registries, `giteaforge` and `localforge` for forges."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.block_documents import BlockDocumentStore
from bootpress.core.errors import Conflict
from bootpress.core.ports import ForgeConnection, ForgeKind, RegistryConnection

REGISTRY_BLOCK: Final = "ociregistry"
FORGE_BLOCKS: Final[Mapping[ForgeKind, str]] = {ForgeKind.GITEA: "giteaforge", ForgeKind.LOCAL: "localforge"}


class PrefectConnections:
    """The port `Connections` on Prefect's block documents."""

    def __init__(self, api: PrefectApi, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._registries = BlockDocumentStore(api, REGISTRY_BLOCK, _registry, monotonic=monotonic)
        self._forges = {
            ForgeKind.GITEA: BlockDocumentStore(api, FORGE_BLOCKS[ForgeKind.GITEA], _gitea, monotonic=monotonic),
            ForgeKind.LOCAL: BlockDocumentStore(api, FORGE_BLOCKS[ForgeKind.LOCAL], _local, monotonic=monotonic),
        }

    def save_registry(self, account_id: UUID, connection: RegistryConnection) -> None:
        """Create or replace the registry connection of that name."""
        data = {
            "host": connection.host,
            "username": connection.username,
            "token": connection.token,
            "plain_http": connection.plain_http,
        }
        self._registries.save(account_id, connection.name, data)

    def find_registry(self, account_id: UUID, name: str) -> RegistryConnection | None:
        """Return the registry connection of that name, or None."""
        return self._registries.find(account_id, name)

    def list_registries(self, account_id: UUID) -> Sequence[RegistryConnection]:
        """List an account's registry connections by name."""
        return self._registries.all_of(account_id)

    def save_forge(self, account_id: UUID, connection: ForgeConnection) -> None:
        """Create or replace the forge connection of that name; Conflict where a forge of another kind has it."""
        for kind, documents in self._forges.items():
            if kind is not connection.kind and documents.find(account_id, connection.name) is not None:
                raise Conflict(
                    f"the forge connection {connection.name} is a {kind} forge",
                    hint="give this one another name, or delete that block in the Prefect UI first",
                )
        data = {"url": connection.url}
        if connection.kind is ForgeKind.GITEA:
            data["token"] = connection.token or ""
        self._forges[connection.kind].save(account_id, connection.name, data)

    def find_forge(self, account_id: UUID, name: str) -> ForgeConnection | None:
        """Return the forge connection of that name, or None."""
        found = (documents.find(account_id, name) for documents in self._forges.values())
        return next((one for one in found if one is not None), None)

    def list_forges(self, account_id: UUID) -> Sequence[ForgeConnection]:
        """List an account's forge connections by name."""
        found = [one for documents in self._forges.values() for one in documents.all_of(account_id)]
        return sorted(found, key=lambda one: one.name)


def _registry(name: str, data: Mapping[str, Any]) -> RegistryConnection:
    return RegistryConnection(
        name=name,
        host=str(data.get("host", "")),
        username=data.get("username"),
        token=data.get("token"),
        plain_http=bool(data.get("plain_http", False)),
    )


def _gitea(name: str, data: Mapping[str, Any]) -> ForgeConnection:
    return ForgeConnection(name, ForgeKind.GITEA, str(data.get("url", "")), data.get("token") or None)


def _local(name: str, data: Mapping[str, Any]) -> ForgeConnection:
    return ForgeConnection(name, ForgeKind.LOCAL, str(data.get("url", "")))
