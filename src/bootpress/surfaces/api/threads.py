"""Run synchronous work of requests on threads: the bell has its own, so slow operations and pages never delay it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")


class Threads:
    """At most `count` of the requests that share these work at once; others wait their turn."""

    def __init__(self, count: int) -> None:
        self._limiter = anyio.CapacityLimiter(count)

    async def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, or raise what it raises."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)
