"""Token buckets, one per key: how often somebody may do something. In memory: a restart forgives."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable


class RateLimiter:
    """Allow `burst` at once and `rate` a second per key, for at most `keys` keys (the longest unused is forgotten)."""

    def __init__(
        self, *, rate: float, burst: float, keys: int = 10_000, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._keys = keys
        self._monotonic = monotonic
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def acquire(self, key: Hashable) -> float:
        """Take one token of `key` and return 0, or return the seconds until there is one."""
        now = self._monotonic()
        with self._lock:
            tokens, at = self._buckets.pop(key, (self._burst, now))
            tokens = min(self._burst, tokens + (now - at) * self._rate)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - 1 if allowed else tokens, now)
            if len(self._buckets) > self._keys:
                self._buckets.popitem(last=False)
            return 0.0 if allowed else (1 - tokens) / self._rate
