"""Fair queueing of deliveries: max-min fairness among accounts, then platforms, then registry hosts. Pure.

A queue holds the due deliveries of one platform, or of one webhook where the platform does not exist. The next place
goes to the account with the fewest deliveries in flight, within it to the queue with the fewest, within these to the
registry host with the fewest, then to what is due for longest. Some places are reserved for those that have nothing
in flight: they wait for nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heapify, heappop, heapreplace
from uuid import UUID

from bootpress.core.context import Limits
from bootpress.core.references import canonical_host

Site = tuple[UUID, str]
"""An account and a registry host that it uses, in its canonical spelling."""


@dataclass(frozen=True, slots=True)
class Queue:
    """Deliveries that share places with each other first; `due` is counted up to a bound."""

    id: UUID
    account_id: UUID
    host: str
    """The platform's registry host; empty where the platform does not exist, since then none is asked."""
    due: int
    due_since: datetime

    @property
    def site(self) -> Site:
        """Return the account and host that a batch has in common."""
        return self.account_id, canonical_host(self.host)


@dataclass(frozen=True, slots=True)
class Running:
    """Deliveries of one queue that one run works on; `batch_id` is None for runs of one delivery each."""

    queue_id: UUID
    account_id: UUID
    host: str
    batch_id: UUID | None
    deliveries: int


@dataclass(frozen=True, slots=True)
class Launch:
    """One run to start: how many deliveries of which queues it takes."""

    takes: Mapping[UUID, int]
    is_batch: bool


@dataclass(slots=True)
class _Load:
    """What is in flight, counted the ways that decisions need it."""

    accounts: Counter[UUID] = field(default_factory=Counter)
    queues: Counter[UUID] = field(default_factory=Counter)
    sites: Counter[Site] = field(default_factory=Counter)
    singles: int = 0
    batches: list[Site] = field(default_factory=list)

    def add(self, queue_id: UUID, site: Site, count: int) -> None:
        self.accounts[site[0]] += count
        self.queues[queue_id] += count
        self.sites[site] += count

    def rank(self, queue: Queue) -> tuple[int, int, int, datetime, UUID]:
        """Order queues: who comes first gets the next place."""
        counts = self.accounts[queue.account_id], self.queues[queue.id], self.sites[queue.site]
        return (*counts, queue.due_since, queue.id)


class _Order:
    """A priority queue of queues by their ranks, which only grow: an outdated one is corrected when it comes first.

    To look at every queue for each place takes seconds where a thousand wait.
    """

    def __init__(self, queues: Iterable[Queue], load: _Load) -> None:
        self._rank = load.rank
        self._heap = [(load.rank(queue), queue) for queue in queues]
        heapify(self._heap)

    def first(self) -> Queue | None:
        """Return the queue that gets the next place."""
        while self._heap:
            known, queue = self._heap[0]
            rank = self._rank(queue)
            if rank == known:
                return queue
            heapreplace(self._heap, (rank, queue))
        return None

    def drop_first(self) -> None:
        """Take out the queue that `first` returned."""
        heappop(self._heap)


def plan(
    queues: Iterable[Queue], running: Sequence[Running], limits: Limits, *, caps: Mapping[Site, int]
) -> list[Launch]:
    """Choose what to launch now, in order.

    `caps` holds how many deliveries of a site may be in flight where its host fails; such a site gets no batch.
    """
    return _Planner(queues, running, limits, caps).plan()


class _Planner:
    """One decision: places are given away one after the other, to whoever has the fewest."""

    def __init__(
        self, queues: Iterable[Queue], running: Sequence[Running], limits: Limits, caps: Mapping[Site, int]
    ) -> None:
        self._waiting = {queue.id: queue for queue in queues}
        self._due = Counter({queue.id: queue.due for queue in self._waiting.values()})
        self._limits, self._caps = limits, caps
        self._load = _load_of(running)
        self._order = _Order(self._waiting.values(), self._load)
        # What fits into free places gets a run each, and a single delivery always does.
        self._few = max(1, limits.launches_in_flight - self._load.singles)
        self._site_due: Counter[Site] = Counter()
        for queue in self._waiting.values():
            self._site_due[queue.site] += queue.due

    def plan(self) -> list[Launch]:
        launches: list[Launch] = []
        while (queue := self._order.first()) is not None:
            launch = self._place(queue) if self._due[queue.id] > 0 else None
            if launch is None:  # places only become fewer: it need not be looked at again
                self._order.drop_first()
                del self._waiting[queue.id]
            else:
                launches.append(launch)
        return launches

    def _place(self, queue: Queue) -> Launch | None:
        cap = self._caps.get(queue.site)
        if cap is not None:
            has_room = self._load.sites[queue.site] < cap and self._has_single(queue)
            return self._single(queue) if has_room else None
        if self._site_due[queue.site] > self._few:
            if self._has_batch(queue):
                return self._batch(queue.site)
            return self._single(queue) if self._is_idle(queue) and self._has_single(queue) else None
        if self._has_single(queue):
            return self._single(queue)
        return self._batch(queue.site) if self._has_batch(queue) else None

    def _is_idle(self, queue: Queue) -> bool:
        return self._load.queues[queue.id] == 0

    def _has_single(self, queue: Queue) -> bool:
        """Tell whether there is a place for one more run: a shared one, or a reserved one for who has none."""
        places = self._limits.launches_in_flight
        if self._is_idle(queue):
            places += self._limits.reserved_for_platforms
        if self._load.accounts[queue.account_id] == 0:
            places += self._limits.reserved_for_accounts
        return self._load.singles < places

    def _has_batch(self, queue: Queue) -> bool:
        places = self._limits.batches_in_flight
        if queue.site not in self._load.batches:
            places += self._limits.batches_reserved_for_hosts
        if queue.account_id not in {account_id for account_id, _ in self._load.batches}:
            places += self._limits.batches_reserved_for_accounts
        return len(self._load.batches) < places

    def _single(self, queue: Queue) -> Launch:
        self._take(queue)
        self._load.singles += 1
        return Launch({queue.id: 1}, is_batch=False)

    def _batch(self, site: Site) -> Launch:
        """Fill a batch from all queues of an account and host, evenly."""
        takes: Counter[UUID] = Counter()
        # Of one account and host, ranks differ by what is in flight of each queue alone.
        left = [
            (self._load.queues[queue.id], queue.due_since, queue.id, queue)
            for queue in self._waiting.values()
            if queue.site == site and self._due[queue.id] > 0
        ]
        heapify(left)
        while left and takes.total() < self._limits.batch_size:
            in_flight, due_since, queue_id, queue = left[0]
            self._take(queue)
            takes[queue_id] += 1
            if self._due[queue_id] > 0:
                heapreplace(left, (in_flight + 1, due_since, queue_id, queue))
            else:
                heappop(left)
        self._load.batches.append(site)
        return Launch(takes, is_batch=True)

    def _take(self, queue: Queue) -> None:
        self._due[queue.id] -= 1
        self._load.add(queue.id, queue.site, 1)


def _load_of(running: Sequence[Running]) -> _Load:
    load = _Load()
    sites: dict[UUID, Site] = {}
    for one in running:
        site = one.account_id, canonical_host(one.host)
        load.add(one.queue_id, site, one.deliveries)
        if one.batch_id is None:
            load.singles += one.deliveries
        else:
            sites[one.batch_id] = site
    load.batches.extend(sites.values())
    return load
