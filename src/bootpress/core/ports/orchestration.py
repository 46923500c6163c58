"""The orchestrator: what it runs, keeps and tells for us; and the time."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from bootpress.core.ports.forges import ForgeConnection
from bootpress.core.ports.registries import RegistryConnection


class Connections(Protocol):
    """The connections of an account; raises OrchestratorUnavailable while their store is away."""

    def save_registry(self, account_id: UUID, connection: RegistryConnection) -> None:
        """Create or replace the registry connection of that name."""

    def find_registry(self, account_id: UUID, name: str) -> RegistryConnection | None:
        """Return the registry connection of that name, or None."""

    def list_registries(self, account_id: UUID) -> Sequence[RegistryConnection]:
        """List an account's registry connections by name."""

    def save_forge(self, account_id: UUID, connection: ForgeConnection) -> None:
        """Create or replace the forge connection of that name."""

    def find_forge(self, account_id: UUID, name: str) -> ForgeConnection | None:
        """Return the forge connection of that name, or None."""

    def list_forges(self, account_id: UUID) -> Sequence[ForgeConnection]:
        """List an account's forge connections by name."""


class JobKind(enum.StrEnum):
    """What the orchestrator can be asked to do, each about one row of ours."""

    DELIVERY = "delivery"
    BATCH = "batch"
    BUILD = "build"
    BOOTSTRAP = "bootstrap"
    PROVISION_WORKER = "provision-worker"
    TERMINATE_WORKER = "terminate-worker"


class ResumeResult(enum.StrEnum):
    """What a run said that was to be woken."""

    RESUMED = "resumed"
    NOT_YET = "not yet"
    """It has not gone to sleep, or is about to: it may be asked again."""
    OVER = "over"
    """It has ended, or was deleted, and never runs again."""


class Launcher(Protocol):
    """Start work in the orchestrator; raises OrchestratorUnavailable when it is away."""

    def launch(self, work: JobKind, subject: UUID, *, key: UUID, run_name: str) -> UUID:
        """Start a run about one row, whose id is `subject`; return the flow run's id.

        A repeat with the same key returns the first run, so a relaunch uses a new key.
        """

    def resume(self, run_id: UUID) -> ResumeResult:
        """Wake a run that waits for us."""


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event as listeners get it."""

    id: UUID
    kind: str
    account_id: UUID
    occurred_at: datetime
    payload: Mapping[str, Any]


class EventSink(Protocol):
    """Fan events out to whoever listens.

    Raises OrchestratorUnavailable when it cannot now, and Rejected when it will never take one of those it was handed.
    """

    def emit(self, events: Sequence[OutgoingEvent]) -> None:
        """Hand events over, at once; the same id twice is one event to listeners."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the present moment, in UTC, with its time zone."""
