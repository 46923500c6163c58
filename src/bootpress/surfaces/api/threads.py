"""Run synchronous work of requests on threads: the bell has its own, so slow operations and pages never delay it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

import anyio
import anyio.to_thread

from bootpress.core.errors import RateLimited

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 64
"""Questions of one call: what comes later waits for the next one."""
AGAIN_AFTER = 10.0
"""Seconds to come back after, where outside servers hold every place."""


class Threads:
    """At most `count` of the requests that share these work at once; others wait their turn."""

    def __init__(self, count: int) -> None:
        self._limiter = anyio.CapacityLimiter(count)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


@dataclass(frozen=True, slots=True)
class Places:
    """How many calls of a bulkhead may be under way: in all, of one account, and of one account to one operation."""

    all: int = 16
    per_account: int = 6
    per_operation: int = 3
    patience: float = 3.0
    """Seconds that a call waits for a place."""


class Bulkhead:
    """Threads for calls that wait for somebody else's server: apart from all others, and divided among accounts.

    However many calls of one account meet a server that says nothing, other accounts find places, and so do the
    account's own calls to other operations.
    """

    def __init__(self, places: Places | None = None) -> None:
        self._places = places or Places()
        self._limiter = anyio.CapacityLimiter(self._places.all)
        self._accounts: Counter[UUID] = Counter()
        self._operations: Counter[tuple[UUID, str]] = Counter()
        self._changed = asyncio.Condition()

    async def run(self, account_id: UUID, operation: str, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises; RateLimited when no place becomes free in time."""
        await self._enter(account_id, operation)
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            await self._leave(account_id, operation)

    async def _enter(self, account_id: UUID, operation: str) -> None:
        try:
            async with asyncio.timeout(self._places.patience), self._changed:
                await self._changed.wait_for(lambda: self._has_room(account_id, operation))
                self._accounts[account_id] += 1
                self._operations[account_id, operation] += 1
        except TimeoutError as error:
            raise RateLimited(
                f"{operation}: as many calls as may wait for outside servers at once do so already",
                retry_after=AGAIN_AFTER,
                hint="an outside server is slow or unavailable (see `bootpress doctor`); call again soon",
            ) from error

    async def _leave(self, account_id: UUID, operation: str) -> None:
        async with self._changed:
            self._accounts -= Counter([account_id])
            self._operations -= Counter([(account_id, operation)])
            self._changed.notify_all()

    def _has_room(self, account_id: UUID, operation: str) -> bool:
        return (
            self._accounts.total() < self._places.all
            and self._accounts[account_id] < self._places.per_account
            and self._operations[account_id, operation] < self._places.per_operation
        )


class Together(Generic[T, R]):
    """Asks `work`, on threads, for all who came while it was busy; it gives each an answer or an error, in their order.

    Nobody waits for others to come: who comes to an idle thread is asked for at once.
    """

    def __init__(self, work: Callable[[Sequence[T]], Sequence[R | Exception]], *, threads: int) -> None:
        self._work = work
        self._idle = threads
        self._limiter = anyio.CapacityLimiter(threads)
        self._queue: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._asking: set[asyncio.Task[None]] = set()

    async def ask(self, question: T) -> R:
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
                group = [self._queue.popleft() for _ in range(min(AT_ONCE, len(self._queue)))]
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
