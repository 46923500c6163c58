"""Run synchronous work of requests on threads: the bell has its own, so slow operations and pages never delay it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 64
"""Questions of one call: what comes later waits for the next one."""


class Threads:
    """At most `count` of the requests that share these work at once; others wait their turn."""

    def __init__(self, count: int) -> None:
        self._limiter = anyio.CapacityLimiter(count)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


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
