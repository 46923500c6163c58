"""Retry policy of Gitea's API: which failures are tried again, and what the last one becomes."""

from __future__ import annotations

from bootpress.adapters.forges.gitea.limits import Limits
from bootpress.core.errors import ForgeUnavailable
from bootpress.http_client.clock import Clock
from bootpress.http_client.retry import RetryPolicy

MIN_TIME_LEFT = 1.0
"""Seconds that a try must have left, or its answer would not come in time whatever it is."""


class AmbiguousOutcome(ForgeUnavailable):
    """A call that must not be made twice was sent, and it is not known whether it was carried out."""


class RetryableFailure(Exception):
    """One try brought no answer that counts; another may. `may_be_done` says whether it may have been carried out."""

    def __init__(
        self, reason: str, *, may_be_done: bool, retry_after: float | None = None, hint: str | None = None
    ) -> None:
        super().__init__(reason)
        self.reason, self.may_be_done, self.retry_after, self.hint = reason, may_be_done, retry_after, hint


class GiteaRetryPolicy:
    """Retry policy of one call to Gitea."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        deadline = clock.monotonic() + limits.call_seconds - MIN_TIME_LEFT
        self._policy = RetryPolicy(limits, clock, deadline=deadline)

    def wait(self, failure: RetryableFailure, *, who: str, to: str) -> None:
        """Wait before the next try; ForgeUnavailable when there is to be none."""
        if not self._policy.wait(failure.retry_after):
            message = f"asked to {to}, {who} {failure.reason}"
            asked = self._policy.bounded(failure.retry_after)
            raise ForgeUnavailable(message, hint=failure.hint, retry_after=asked) from failure
