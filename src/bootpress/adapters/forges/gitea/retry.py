"""How often a call is made again, and how long is waited before: pure, but for the wait."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bootpress.adapters.forges.gitea.limits import Clock, Limits
from bootpress.core.errors import ForgeUnavailable

MIN_TIME_LEFT = 1.0
"""Seconds that a try must have left, or its answer would not come in time whatever it is."""
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class AmbiguousOutcome(ForgeUnavailable):
    """A call that must not be made twice was sent, and it is not known whether it was carried out."""


class RetryableFailure(Exception):
    """One try brought no answer that counts; another may. `may_be_done` says whether it may have been carried out."""

    def __init__(
        self, reason: str, *, may_be_done: bool, retry_after: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.may_be_done, self.retry_after, self.hint = reason, may_be_done, retry_after, hint


class RetryPolicy:
    """The tries of one call."""

    def __init__(self, limits: Limits, timing: Clock) -> None:
        self._limits, self._timing = limits, timing
        self._deadline = timing.monotonic() + limits.call_seconds
        self._left, self._backoff = limits.tries, limits.backoff_seconds

    def wait(self, failure: RetryableFailure, *, who: str, to: str) -> None:
        """Wait before the next try; ForgeUnavailable when there is to be none."""
        longest = self._limits.longest_wait_seconds
        asked = None if failure.retry_after is None else min(failure.retry_after, longest)
        delay = asked if asked is not None else min(self._backoff, longest) * (1 - self._timing.jitter() / 2)
        self._left -= 1
        if self._left <= 0 or self._timing.monotonic() + delay > self._deadline - MIN_TIME_LEFT:
            told = f"asked to {to}, {who} {failure.reason}"
            raise ForgeUnavailable(told, hint=failure.hint, retry_after=asked) from failure
        self._backoff *= 2
        self._timing.sleep(delay)


def retry_after(header: str | None) -> float | None:
    """Read Retry-After, seconds or an HTTP date (RFC 9110, 10.2.3), as seconds from now; None where it says nothing."""
    if header is None:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return float(header.strip())
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    return max(0.0, ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
