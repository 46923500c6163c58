"""Hand-written stand-ins at the ports: what the orchestrator and the clock would do, and what they were asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from bootpress.core.errors import OrchestratorUnavailable, Rejected
from bootpress.core.ports import ForgeConnection, JobKind, OutgoingEvent, RegistryConnection, ResumeResult


class FixedClock:
    """A clock that stands still until it is advanced."""

    def __init__(self, start: datetime = datetime(2025, 6, 1, 12, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, **by: float) -> datetime:
        """Let time pass: the arguments are timedelta's."""
        self._now += timedelta(**by)
        return self._now


class RealClock:
    """The time of this machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class _Away:
    """Something that can be switched off: `away = True`, or for the next `failures` calls."""

    def __init__(self) -> None:
        self.away = False
        self.failures = 0

    def answer(self) -> None:
        """Raise OrchestratorUnavailable if it is off now."""
        if self.away:
            raise OrchestratorUnavailable("the fake orchestrator is away")
        if self.failures > 0:
            self.failures -= 1
            raise OrchestratorUnavailable("the fake orchestrator failed this once")

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        self.away = True
        try:
            yield
        finally:
            self.away = False


@dataclass(frozen=True)
class Launch:
    """One call of a launcher: `key` is the attempt's id for a delivery, the batch's for a batch."""

    work: JobKind
    subject: UUID
    key: UUID
    run_name: str
    run_id: UUID

    @property
    def delivery_id(self) -> UUID | None:
        return self.subject if self.work is JobKind.DELIVERY else None


class FakeLauncher(_Away):
    """Records what was launched; a repeated key gets the first run, as Prefect does it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.waiting: set[UUID] = set()
        """Runs that wait, and that `resume` wakes."""
        self.runs: dict[JobKind, Callable[[Launch], None]] = {}
        """What a run of a kind of work does, at once and in the caller's thread; nothing where none is named."""
        self.over: set[UUID] = set()
        """Runs that have ended."""
        self.resumed: list[UUID] = []
        self._runs: dict[UUID, Launch] = {}
        self._lock = threading.Lock()

    @property
    def deliveries(self) -> list[Launch]:
        """The runs of single deliveries, in the order they were launched."""
        return self.of(JobKind.DELIVERY)

    @property
    def batches(self) -> list[Launch]:
        """The runs of batches, in the order they were launched."""
        return self.of(JobKind.BATCH)

    def of(self, work: JobKind) -> list[Launch]:
        """Return the runs of one kind, in the order they were launched."""
        return [launch for launch in self._runs.values() if launch.work is work]

    def launch(self, work: JobKind, subject: UUID, *, key: UUID, run_name: str) -> UUID:
        launch = Launch(work, subject, key, run_name, uuid4())
        with self._lock:
            self.asked += 1
            self.answer()
            made = self._runs.setdefault(key, launch)
        if made is launch and work in self.runs:
            self.runs[work](launch)
        return made.run_id

    def resume(self, run_id: UUID) -> ResumeResult:
        self.answer()
        if run_id in self.over:
            return ResumeResult.OVER
        if run_id not in self.waiting:
            return ResumeResult.NOT_YET
        self.waiting.remove(run_id)
        self.resumed.append(run_id)
        return ResumeResult.RESUMED


class FakeConnections(_Away):
    """Keeps connections in memory, by account and name."""

    def __init__(self) -> None:
        super().__init__()
        self._registries: dict[tuple[UUID, str], RegistryConnection] = {}
        self._forges: dict[tuple[UUID, str], ForgeConnection] = {}

    def save_registry(self, account_id: UUID, connection: RegistryConnection) -> None:
        self.answer()
        self._registries[account_id, connection.name] = connection

    def find_registry(self, account_id: UUID, name: str) -> RegistryConnection | None:
        self.answer()
        return self._registries.get((account_id, name))

    def list_registries(self, account_id: UUID) -> Sequence[RegistryConnection]:
        self.answer()
        found = [connection for (owner, _), connection in self._registries.items() if owner == account_id]
        return sorted(found, key=lambda connection: connection.name)

    def save_forge(self, account_id: UUID, connection: ForgeConnection) -> None:
        self.answer()
        self._forges[account_id, connection.name] = connection

    def find_forge(self, account_id: UUID, name: str) -> ForgeConnection | None:
        self.answer()
        return self._forges.get((account_id, name))

    def list_forges(self, account_id: UUID) -> Sequence[ForgeConnection]:
        self.answer()
        found = [connection for (owner, _), connection in self._forges.items() if owner == account_id]
        return sorted(found, key=lambda connection: connection.name)


class FakeEventSink(_Away):
    """Records the events it is handed, repeats too, and in how many calls; each takes `seconds`.

    No call is taken that holds one of the ids in `unreadable`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.emitted: list[OutgoingEvent] = []
        self.calls = 0
        self.seconds = 0.0
        self.unreadable: set[UUID] = set()

    def emit(self, events: Sequence[OutgoingEvent]) -> None:
        self.calls += 1
        time.sleep(self.seconds)
        self.answer()
        if self.unreadable & {one.id for one in events}:
            raise Rejected("the fake listener cannot read one of these")
        self.emitted += events


def eventually(holds: Callable[[], bool], *, within: float = 10.0) -> bool:
    """Wait until something holds, looking often; False when it did not in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.02)
    return holds()
