"""Run synchronous work of requests on threads, divided by kind and by account: what is slow delays only its own."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

import anyio
import anyio.to_thread

from bootpress.core.errors import RateLimited

T = TypeVar("T")
R = TypeVar("R")
BATCH_SIZE = 64
"""Items of one batch; later ones wait for the next batch."""
AGAIN_AFTER = 10.0
"""Seconds to come back after, where there is no place."""


class ThreadLimiter:
    """At most `count` of the requests that share these work at once; others wait their turn."""

    def __init__(self, count: int) -> None:
        self._limiter = anyio.CapacityLimiter(count)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


@dataclass(frozen=True, slots=True)
class Places:
    """How many calls may be under way in a bulkhead: in all, of one account, of one account to one operation."""

    all: int = 16
    per_account: int = 6
    per_operation: int = 3
    patience: float = 3.0
    """Seconds that a call waits for a place."""
    waiting: int = 100
    """How many calls of one account wait at once: one more is turned away without waiting."""
    hint: str = "an outside server is slow or unavailable (see `bootpress doctor`); call again soon"


class _Waiter(NamedTuple):
    operation: str
    admitted: asyncio.Future[None]


class Bulkhead:
    """Threads divided among accounts: those of one hold a part of the places, and wait in a bounded queue of their own.

    A free place goes to the account that holds the fewest (max-min fairness), and to the one served longest ago where
    several hold as few. Kept are the accounts whose calls are under way or wait, and no others.
    """

    def __init__(self, places: Places | None = None) -> None:
        self._places = places or Places()
        self._limiter = anyio.CapacityLimiter(self._places.all)
        self._accounts: Counter[UUID] = Counter()
        self._operations: Counter[tuple[UUID, str]] = Counter()
        self._queues: dict[UUID, deque[_Waiter]] = {}
        """Who waits, by account; the account served longest ago comes first."""

    async def run(self, account_id: UUID, operation: str, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises; RateLimited when no place becomes free in time."""
        if self._has_room(account_id, operation):
            self._take(account_id, operation)
        else:
            await self._wait(account_id, operation)
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._leave(account_id, operation)

    def is_empty(self) -> bool:
        """Tell whether nothing is kept of any account."""
        return not (self._accounts or self._operations or self._queues)

    async def _wait(self, account_id: UUID, operation: str) -> None:
        """Wait for a place and take it; RateLimited where too many wait already, or for too long."""
        waiting = len(self._queues.get(account_id, ()))
        if waiting >= self._places.waiting:
            raise self._refusal(f"{operation}: {waiting} calls of this account wait for a place already")
        waiter = _Waiter(operation, asyncio.get_running_loop().create_future())
        self._queues.setdefault(account_id, deque()).append(waiter)
        try:
            async with asyncio.timeout(self._places.patience):
                await waiter.admitted
        except BaseException as error:
            self._stop_waiting(account_id, waiter)
            if isinstance(error, TimeoutError):
                raise self._refusal(f"{operation}: no place became free in {self._places.patience:g} s") from error
            raise

    def _stop_waiting(self, account_id: UUID, waiter: _Waiter) -> None:
        if waiter in self._queues.get(account_id, ()):
            self._remove(account_id, waiter)
        else:  # it was given a place in the moment in which it gave up
            self._leave(account_id, waiter.operation)

    def _remove(self, account_id: UUID, waiter: _Waiter) -> None:
        queue = self._queues.pop(account_id)
        queue.remove(waiter)
        if queue:
            self._queues[account_id] = queue  # the last in line now

    def _refusal(self, message: str) -> RateLimited:
        return RateLimited(message, retry_after=AGAIN_AFTER, hint=self._places.hint)

    def _take(self, account_id: UUID, operation: str) -> None:
        self._accounts[account_id] += 1
        self._operations[account_id, operation] += 1

    def _leave(self, account_id: UUID, operation: str) -> None:
        self._accounts -= Counter([account_id])  # drops what is zero
        self._operations -= Counter([(account_id, operation)])
        self._admit_next()

    def _admit_next(self) -> None:
        """Give the place that became free to who waits; nobody else finds room, or would have had it before."""
        for account_id in sorted(self._queues, key=self._accounts.__getitem__):
            if self._accounts[account_id] >= self._places.per_account:
                return  # and so do all that follow
            queue = self._queues[account_id]
            waiter = next((one for one in queue if self._has_room(account_id, one.operation)), None)
            if waiter is not None:
                self._remove(account_id, waiter)
                self._take(account_id, waiter.operation)
                if not waiter.admitted.done():  # its client may have gone
                    waiter.admitted.set_result(None)
                return

    def _has_room(self, account_id: UUID, operation: str) -> bool:
        return (
            self._accounts.total() < self._places.all
            and self._accounts[account_id] < self._places.per_account
            and self._operations[account_id, operation] < self._places.per_operation
        )


class MicroBatcher(Generic[T, R]):
    """Asks `work`, on threads, for all who came while it was busy; it gives each an answer or an error, in their order.

    Nobody waits for others to come: who comes to an idle thread is asked for at once.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R | Exception]], *, threads: int) -> None:
        self._work = work
        self._idle = threads
        self._limiter = anyio.CapacityLimiter(threads)
        self._queue: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._asking: set[asyncio.Task[None]] = set()

    async def submit(self, question: T) -> R:
        """Return the answer to a question, or raise its error."""
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append((question, answer))
        if self._idle:
            self._idle -= 1
            asking = asyncio.create_task(self._ask_all())
            self._asking.add(asking)  # the loop itself would let go of it
            asking.add_done_callback(self._asking.discard)
        return await answer

    async def _ask_all(self) -> None:
        try:
            while self._queue:
                group = [self._queue.popleft() for _ in range(min(BATCH_SIZE, len(self._queue)))]
                await self._ask_for(group)
        finally:
            self._idle += 1

    async def _ask_for(self, group: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        answers: Sequence[R | Exception]
        try:
            answers = await anyio.to_thread.run_sync(
                self._work, [question for question, _ in group], limiter=self._limiter
            )
        except Exception as error:  # noqa: BLE001 - everybody's, and raised again by their `ask`
            answers = [error] * len(group)
        for (_, future), answer in zip(group, answers, strict=True):
            if future.done():  # its client has gone
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
