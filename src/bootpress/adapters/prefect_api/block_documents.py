"""Prefect's block documents of one type, by account and name (document `<account>-<name>`).

The Prefect UI shows and edits the same documents; the classes in `blocks/` describe their schema.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

from bootpress.adapters.prefect_api.api import PrefectApi, PrefectNotFound, PrefectRequestError
from bootpress.core.errors import OrchestratorUnavailable

KEPT_SECONDS: Final = 15.0
PAGE: Final = 200


class Named(Protocol):
    """What a document is read as."""

    @property
    def name(self) -> str:
        """Return the name that its account gave it."""


T = TypeVar("T", bound=Named)


class BlockDocumentStore(Generic[T]):
    """The documents of one block type; what was read is believed for 15 seconds. Shared by threads.

    `read` makes the value of a name and the document's data.
    """

    def __init__(
        self,
        api: PrefectApi,
        block_type: str,
        read: Callable[[str, Mapping[str, Any]], T],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._block_type = block_type
        self._value = read
        self._monotonic = monotonic
        self._kept: dict[UUID, tuple[float, tuple[T, ...]]] = {}
        self._saves = 0
        self._lock = threading.Lock()

    def save(self, account_id: UUID, name: str, data: Mapping[str, Any]) -> None:
        """Create or replace the document of that name."""
        document = document_name(account_id, name)
        saved = self._replace(document, data) or self._create(document, data) or self._replace(document, data)
        if not saved:
            raise OrchestratorUnavailable(f"somebody creates and deletes the connection {name} just now")
        with self._lock:
            self._saves += 1
            self._kept.pop(account_id, None)

    def find(self, account_id: UUID, name: str) -> T | None:
        """Return the value of that name, or None; what is not among those kept is looked for anew."""
        kept = self._believed(account_id)
        found = _named(kept, name) if kept is not None else None
        return found or _named(self._refresh(account_id), name)

    def all_of(self, account_id: UUID) -> tuple[T, ...]:
        """List an account's values by name."""
        kept = self._believed(account_id)
        return kept if kept is not None else self._refresh(account_id)

    def _believed(self, account_id: UUID) -> tuple[T, ...] | None:
        with self._lock:
            at, kept = self._kept.get(account_id, (None, ()))
        return kept if at is not None and self._monotonic() - at < KEPT_SECONDS else None

    def _refresh(self, account_id: UUID) -> tuple[T, ...]:
        now = self._monotonic()
        with self._lock:
            saves = self._saves
        found = tuple(sorted(self._read(account_id), key=lambda one: one.name))
        with self._lock:
            if saves == self._saves:  # else what was read may be from before a save
                self._kept[account_id] = (now, found)
        return found

    def _read(self, account_id: UUID) -> Iterator[T]:
        prefix = document_name(account_id, "")
        query = {
            "block_documents": {"operator": "and_", "is_anonymous": {"eq_": False}, "name": {"like_": prefix}},
            "block_types": {"slug": {"any_": [self._block_type]}},
            "include_secrets": True,
            "limit": PAGE,
        }
        documents = self._api.post("/block_documents/filter", query)
        for document in documents:
            if document["name"].startswith(prefix):
                yield self._value(document["name"].removeprefix(prefix), document["data"])

    def _replace(self, name: str, data: Mapping[str, Any]) -> bool:
        """Replace what a document says; False if there is none of that name."""
        try:
            document = self._api.get(f"/block_types/slug/{self._block_type}/block_documents/name/{name}")
            self._api.patch(f"/block_documents/{document['id']}", {"data": dict(data), "merge_existing_data": False})
        except PrefectNotFound:
            return False
        return True

    def _create(self, name: str, data: Mapping[str, Any]) -> bool:
        """Create a document; False if there is one of that name: another's, or ours by a try whose answer was lost."""
        try:
            block_type = self._api.get(f"/block_types/slug/{self._block_type}")
        except PrefectNotFound as error:
            raise OrchestratorUnavailable(
                f"Prefect does not know the block type {self._block_type} yet", hint="start the stack with bootpress up"
            ) from error
        schemas = self._api.post(
            "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}, "limit": 1}
        )
        ids = {"block_type_id": block_type["id"], "block_schema_id": schemas[0]["id"]}
        try:
            self._api.post("/block_documents/", {"name": name, "data": dict(data), **ids})
        except PrefectRequestError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            return False
        return True


def document_name(account_id: UUID, name: str) -> str:
    """Return the name of an account's block document: Prefect allows lower-case letters, digits and dashes."""
    return f"{account_id}-{name}"


def _named(values: tuple[T, ...], name: str) -> T | None:
    return next((one for one in values if one.name == name), None)
