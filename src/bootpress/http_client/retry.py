"""Retry policy: exponential backoff with jitter, Retry-After, and a deadline for the call as a whole."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from bootpress.http_client.clock import Clock

_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class RetryLimits(Protocol):
    """Bounds of the tries of one call, in seconds."""

    @property
    def tries(self) -> int:
        """Return how many tries a call has."""

    @property
    def backoff_seconds(self) -> float:
        """Return the wait before the second try: doubled for each further one, shortened by up to half at random."""

    @property
    def longest_wait_seconds(self) -> float:
        """Return the longest wait, whatever Retry-After asks for."""


class RetryPolicy:
    """Retry policy of one call; `deadline` is a moment of the clock's monotonic time."""

    def __init__(self, limits: RetryLimits, clock: Clock, *, deadline: float, tries: int | None = None) -> None:
        self._limits, self._clock, self.deadline = limits, clock, deadline
        self._left = tries or limits.tries
        self._backoff = limits.backoff_seconds

    def bounded(self, retry_after: float | None) -> float | None:
        """Return what a server asked for, no longer than the longest wait."""
        return None if retry_after is None else min(retry_after, self._limits.longest_wait_seconds)

    def wait(self, retry_after: float | None) -> bool:
        """Wait before the next try and return True; return False at once where no try is left, or no time for one."""
        asked = self.bounded(retry_after)
        backoff = min(self._backoff, self._limits.longest_wait_seconds) * (1 - self._clock.jitter() / 2)
        delay = backoff if asked is None else asked
        self._left -= 1
        if self._left <= 0 or self._clock.monotonic() + delay > self.deadline:
            return False
        self._backoff *= 2
        self._clock.sleep(delay)
        return True

    def start_over(self) -> None:
        """Forget failures: there was progress."""
        self._left, self._backoff = self._limits.tries, self._limits.backoff_seconds


def read_retry_after(header: str | None, now: datetime) -> float | None:
    """Read Retry-After, seconds or an HTTP date (RFC 9110, 10.2.3), as seconds from now; None where it says nothing."""
    if header is None:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return float(header.strip())
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds())
