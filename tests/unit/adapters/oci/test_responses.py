"""When to ask again, and how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bootpress.adapters.oci import Clock, Limits
from bootpress.adapters.oci.responses import RegistryRetryPolicy, RetryableFailure
from bootpress.core.errors import RegistryUnavailable
from tests.support.clocks import SkippingClock

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


def retry_policy(
    quick: SkippingClock, *, jitter: float = 0.0, seconds: float = 1000, tries: int = 5
) -> RegistryRetryPolicy:
    timing = Clock(monotonic=quick.monotonic, sleep=quick.sleep, now=quick.now, jitter=lambda: jitter)
    limits = Limits(tries=tries, backoff_seconds=1, longest_wait_seconds=6)
    return RegistryRetryPolicy(limits, timing, deadline=quick.monotonic() + seconds)


@pytest.mark.parametrize(("jitter", "waits"), [(0.0, [1, 2, 4, 6]), (1.0, [0.5, 1, 2, 3])])
def test_waits_double_up_to_the_longest_and_chance_shortens_them(jitter: float, waits: list[float]) -> None:
    quick = SkippingClock()
    waiting = retry_policy(quick, jitter=jitter)
    for _ in range(4):
        waiting.wait(RetryableFailure("broken"), what="it")
    assert quick.slept == waits
    with pytest.raises(RegistryUnavailable, match="it: broken"):
        waiting.wait(RetryableFailure("broken"), what="it")


def test_nobody_waits_beyond_the_deadline() -> None:
    quick = SkippingClock()
    with pytest.raises(RegistryUnavailable) as caught:
        retry_policy(quick, seconds=5).wait(RetryableFailure("busy", retry_after=100), what="it")
    assert quick.slept == []
    assert caught.value.retry_after == 6


def test_progress_forgets_failures() -> None:
    quick = SkippingClock()
    waiting = retry_policy(quick, tries=2)
    for _ in range(5):
        waiting.wait(RetryableFailure("broken"), what="it")
        waiting.start_over()
    assert quick.slept == [1] * 5
