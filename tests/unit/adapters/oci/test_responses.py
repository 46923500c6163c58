"""When to ask again, and how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bootpress.adapters.oci import Clock, Limits
from bootpress.adapters.oci.responses import RetryableFailure, RetryPolicy, retry_after
from bootpress.core.errors import RegistryUnavailable
from tests.support.clocks import SkippingClock

NOW = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 120 ", 120),
        ("Fri, 01 May 2026 12:01:30 GMT", 90),
        ("Fri, 01 May 2026 11:00:00 GMT", 0),
        ("Fri, 01 May 2026 12:00:30", 30),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 50, None),
        ("Fri, 99 May 99999999999 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text(max_size=40))
@example("0\x1f")
def test_any_retry_after_is_read_without_an_error(header: str) -> None:
    seconds = retry_after(header, NOW)
    assert seconds is None or seconds >= 0


def patience(quick: SkippingClock, *, jitter: float = 0.0, seconds: float = 1000, tries: int = 5) -> RetryPolicy:
    timing = Clock(monotonic=quick.monotonic, sleep=quick.sleep, now=quick.now, jitter=lambda: jitter)
    limits = Limits(tries=tries, backoff_seconds=1, longest_wait_seconds=6)
    return RetryPolicy(limits, timing, deadline=quick.monotonic() + seconds)


@pytest.mark.parametrize(("jitter", "waits"), [(0.0, [1, 2, 4, 6]), (1.0, [0.5, 1, 2, 3])])
def test_waits_double_up_to_the_longest_and_chance_shortens_them(jitter: float, waits: list[float]) -> None:
    quick = SkippingClock()
    waiting = patience(quick, jitter=jitter)
    for _ in range(4):
        waiting.wait(RetryableFailure("broken"), what="it")
    assert quick.slept == waits
    with pytest.raises(RegistryUnavailable, match="it: broken"):
        waiting.wait(RetryableFailure("broken"), what="it")


def test_nobody_waits_beyond_the_deadline() -> None:
    quick = SkippingClock()
    with pytest.raises(RegistryUnavailable) as caught:
        patience(quick, seconds=5).wait(RetryableFailure("busy", retry_after=100), what="it")
    assert quick.slept == []
    assert caught.value.retry_after == 6


def test_progress_forgets_failures() -> None:
    quick = SkippingClock()
    waiting = patience(quick, tries=2)
    for _ in range(5):
        waiting.wait(RetryableFailure("broken"), what="it")
        waiting.start_over()
    assert quick.slept == [1] * 5
