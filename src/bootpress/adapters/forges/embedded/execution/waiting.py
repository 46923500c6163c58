"""The runs that wait for their turn: a fair queue, first in first out within a repository, round robin among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bootpress.adapters.forges.embedded.execution.runs import Runs, RunSpec
from bootpress.core.errors import ForgeUnavailable
from bootpress.core.ports import RunStatus


@dataclass(frozen=True, slots=True)
class WaitingRun:
    """A run that nobody has begun."""

    id: str
    spec: RunSpec


@dataclass(slots=True)
class FairQueue:
    """What waits, by repository."""

    _waiting: dict[str, deque[WaitingRun]] = field(default_factory=dict)
    """The repository that was served last comes last."""

    def add(self, run: WaitingRun) -> None:
        """Put a run behind those of its repository."""
        self._waiting.setdefault(run.spec.repository, deque()).append(run)

    def put_back(self, run: WaitingRun) -> None:
        """Put a run before those of its repository, whose turn is over."""
        queue = self._waiting.pop(run.spec.repository, deque())
        queue.appendleft(run)
        self._waiting[run.spec.repository] = queue

    def first(self) -> Iterator[WaitingRun]:
        """Yield the run of each repository that has waited longest."""
        yield from [queue[0] for queue in self._waiting.values()]

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Take out the runs whose ids are gone."""
        for repository, queue in list(self._waiting.items()):
            left = deque(run for run in queue if not gone(run.id))
            self._waiting[repository] = left
            if not left:
                del self._waiting[repository]

    def take(self, is_served: Callable[[str], bool], running: Mapping[str, int]) -> WaitingRun | None:
        """Take out the run whose turn it is, of the repositories that are served; None if there is none.

        The repository of which the fewest run comes first, then the one whose last turn is longest ago.
        """
        served = [repository for repository in self._waiting if is_served(repository)]
        if not served:
            return None
        repository = min(served, key=lambda each: running.get(each, 0))
        queue = self._waiting.pop(repository)
        run = queue.popleft()
        if queue:
            self._waiting[repository] = queue
        return run


@dataclass(slots=True)
class Line:
    """The fair queue of the runs in a folder, of which only what is new is read at each look."""

    runs: Runs
    queue: FairQueue = field(default_factory=FairQueue)
    running: dict[str, str] = field(default_factory=dict)
    """Repositories of the runs in progress, by their ids; whoever runs them."""
    _known: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Take up runs that are new, and let go of those that have ended or are no longer there."""
        there = set(self.runs.ids())
        if gone := self._known - there:
            self.queue.forget(gone.__contains__)
        new = sorted(there - self._known, key=int)
        self._known = there
        for run_id in [*self.running, *new]:
            self._take_up(run_id, is_new=run_id not in self.running)

    def _take_up(self, run_id: str, *, is_new: bool) -> None:
        try:
            found = self.runs.find(run_id)
        except ForgeUnavailable:  # whoever asks for it is told
            self._known.discard(run_id)  # it is read again: this may pass
            found = None
        if found is not None and found[1].status is RunStatus.IN_PROGRESS:
            self.running[run_id] = found[0].repository
            return
        self.running.pop(run_id, None)
        if is_new and found is not None and found[1].status is RunStatus.QUEUED:
            self.queue.add(WaitingRun(run_id, found[0]))


def overdue(
    run: WaitingRun, *, now: datetime, is_served: bool, limit: timedelta, without_worker: timedelta
) -> str | None:
    """Return why a run is not to wait any longer, or None while it may."""
    allowed = limit if is_served else min(limit, without_worker)
    if now - run.spec.created <= allowed:
        return None
    if is_served:
        return f"its turn did not come in {_hours(allowed)}: others of the account took theirs; run it again"
    return (
        f"no worker took it in {_hours(allowed)}: bootstrap_disk_image_ci has the embedded forge's own back "
        f"(system_provision_ci_worker is for a Gitea); then run it again"
    )


def _hours(limit: timedelta) -> str:
    hours = limit / timedelta(hours=1)
    return f"{hours:.3g} hour{'' if hours == 1 else 's'}"
