"""Registry connections, kept as Prefect blocks of the type `ociregistry` (document `<account>-<name>`).

The Prefect UI shows and edits the same documents; the classes in `blocks/` describe their schema.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final
from uuid import UUID

from bootpress.adapters.orchestrator.api import NotThere, PrefectApi, Refused
from bootpress.core.errors import OrchestratorUnavailable
from bootpress.core.ports import RegistryConnection

BLOCK_TYPE: Final = "ociregistry"
KEPT_SECONDS: Final = 15.0
PAGE: Final = 200


class PrefectConnections:
    """The port `Connections` on Prefect's block documents; what was read is believed for 15 seconds."""

    def __init__(self, api: PrefectApi, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._monotonic = monotonic
        self._kept: dict[UUID, tuple[float, tuple[RegistryConnection, ...]]] = {}
        self._saves = 0
        self._lock = threading.Lock()

    def save_registry(self, account_id: UUID, connection: RegistryConnection) -> None:
        """Create or replace the registry connection of that name."""
        data = {
            "host": connection.host,
            "username": connection.username,
            "token": connection.token,
            "plain_http": connection.plain_http,
        }
        name = document_name(account_id, connection.name)
        if not self._replace(name, data) and not self._create(name, data) and not self._replace(name, data):
            raise OrchestratorUnavailable(f"somebody creates and deletes the connection {connection.name} just now")
        with self._lock:
            self._saves += 1
            self._kept.pop(account_id, None)

    def find_registry(self, account_id: UUID, name: str) -> RegistryConnection | None:
        """Return the registry connection of that name, or None; what is not among those kept is looked for anew."""
        kept = self._believed(account_id)
        found = _named(kept, name) if kept is not None else None
        return found or _named(self._refresh(account_id), name)

    def list_registries(self, account_id: UUID) -> Sequence[RegistryConnection]:
        """List an account's registry connections by name."""
        kept = self._believed(account_id)
        return kept if kept is not None else self._refresh(account_id)

    def _believed(self, account_id: UUID) -> tuple[RegistryConnection, ...] | None:
        with self._lock:
            at, kept = self._kept.get(account_id, (None, ()))
        return kept if at is not None and self._monotonic() - at < KEPT_SECONDS else None

    def _refresh(self, account_id: UUID) -> tuple[RegistryConnection, ...]:
        now = self._monotonic()
        with self._lock:
            saves = self._saves
        found = tuple(sorted(self._read(account_id), key=lambda one: one.name))
        with self._lock:
            if saves == self._saves:  # else what was read may be from before a save
                self._kept[account_id] = (now, found)
        return found

    def _read(self, account_id: UUID) -> list[RegistryConnection]:
        prefix = document_name(account_id, "")
        query = {
            "block_documents": {"operator": "and_", "is_anonymous": {"eq_": False}, "name": {"like_": prefix}},
            "block_types": {"slug": {"any_": [BLOCK_TYPE]}},
            "include_secrets": True,
            "limit": PAGE,
        }
        documents = self._api.post("/block_documents/filter", query)
        return [
            _connection(document["name"].removeprefix(prefix), document["data"])
            for document in documents
            if document["name"].startswith(prefix)
        ]

    def _replace(self, name: str, data: dict[str, Any]) -> bool:
        """Replace what a document says; False if there is none of that name."""
        try:
            document = self._api.get(f"/block_types/slug/{BLOCK_TYPE}/block_documents/name/{name}")
            self._api.patch(f"/block_documents/{document['id']}", {"data": data, "merge_existing_data": False})
        except NotThere:
            return False
        return True

    def _create(self, name: str, data: dict[str, Any]) -> bool:
        """Create a document; False if there is one of that name: another's, or ours by a try whose answer was lost."""
        try:
            block_type = self._api.get(f"/block_types/slug/{BLOCK_TYPE}")
        except NotThere as error:
            raise OrchestratorUnavailable(
                "Prefect does not know the block type OciRegistry yet", hint="start the stack with bootpress up"
            ) from error
        schemas = self._api.post(
            "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}, "limit": 1}
        )
        body = {"name": name, "data": data, "block_type_id": block_type["id"], "block_schema_id": schemas[0]["id"]}
        try:
            self._api.post("/block_documents/", body)
        except Refused as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            return False
        return True


def document_name(account_id: UUID, name: str) -> str:
    """Return the name of an account's block document: Prefect allows lower-case letters, digits and dashes."""
    return f"{account_id}-{name}"


def _named(connections: Sequence[RegistryConnection], name: str) -> RegistryConnection | None:
    return next((one for one in connections if one.name == name), None)


def _connection(name: str, data: dict[str, Any]) -> RegistryConnection:
    return RegistryConnection(
        name=name,
        host=str(data.get("host", "")),
        username=data.get("username"),
        token=data.get("token"),
        plain_http=bool(data.get("plain_http", False)),
    )
