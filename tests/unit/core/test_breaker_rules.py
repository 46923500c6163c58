"""The circuit breaker: closed, probing, open, half-open, closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bootpress.core.breakers.rules import LONGEST_PAUSE, PROBE, Breaker, Phase, failed, is_asked, pause, series_since

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def after(failures: int) -> Breaker:
    breaker = failed(None, NOW)
    for _ in range(failures - 1):
        breaker = failed(breaker, NOW)
    return breaker


@pytest.mark.parametrize(
    ("breaker", "at", "phase", "places"),
    [
        (after(1), NOW, Phase.PROBING, 1),
        (after(2), NOW, Phase.PROBING, 1),
        (after(3), NOW, Phase.OPEN, 0),
        (after(3), NOW + pause(1) - SECOND, Phase.OPEN, 0),
        (after(3), NOW + pause(1), Phase.HALF_OPEN, 1),
        (after(3), NOW + timedelta(days=1), Phase.HALF_OPEN, 1),
        (after(3), NOW - timedelta(days=1), Phase.HALF_OPEN, 1),  # the clock was set back: nobody waits a day
    ],
)
def test_a_breaker_is_in_a_phase_with_so_many_places(breaker: Breaker, at: datetime, phase: Phase, places: int) -> None:
    assert (breaker.phase(at), breaker.places(at)) == (phase, places)


def test_failures_of_requests_that_began_before_it_opened_make_no_pause_longer() -> None:
    breaker = after(3)
    assert failed(breaker, NOW + SECOND) == breaker


def test_each_probe_that_fails_doubles_the_pause_up_to_five_minutes() -> None:
    breaker, now, pauses = after(3), NOW, []
    for _ in range(7):
        assert breaker.retry_at is not None
        pauses.append((breaker.retry_at - now).total_seconds())
        now = breaker.retry_at
        breaker = failed(breaker, now)
    assert pauses == [15, 30, 60, 120, 240, 300, 300]
    assert pause(10**6) == LONGEST_PAUSE


def test_half_open_one_attempt_asks_and_the_others_wait_until_it_is_given_up() -> None:
    probe, other = uuid4(), uuid4()
    now = NOW + pause(1)
    breaker = after(3)
    assert not breaker.may_ask(other, NOW)
    assert breaker.may_ask(probe, now)
    breaker = breaker.probed_by(probe, now)
    assert breaker.may_ask(probe, now + SECOND)
    assert not breaker.may_ask(other, now + SECOND)
    assert breaker.may_ask(other, now + PROBE)
    assert failed(breaker, now + SECOND).probe_attempt_id is None


def test_while_it_probes_every_attempt_that_has_a_place_may_ask() -> None:
    assert after(2).may_ask(uuid4(), NOW)


@pytest.mark.parametrize(
    ("failed_before", "hours"),
    [(timedelta(minutes=20), 9), (timedelta(hours=1), 9), (timedelta(hours=2), 0), (timedelta(hours=-2), 0)],
)
def test_a_series_of_failures_holds_no_time_in_which_nobody_asked(failed_before: timedelta, hours: int) -> None:
    since, failed_at = NOW - timedelta(hours=9), NOW - failed_before
    assert series_since(failing_since=since, failed_at=failed_at, now=NOW) == NOW - timedelta(hours=hours)
    assert is_asked(failed_at, NOW) == (hours > 0)
