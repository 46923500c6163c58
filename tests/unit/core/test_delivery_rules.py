"""Leases, pauses, labels: bounded however often something failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.deliveries import rules as delivery_rules
from bootpress.core.webhooks import rules

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


@given(st.integers(0, 10**9))
def test_a_launchs_lease_grows_and_stays_within_its_bounds(count: int) -> None:
    assert delivery_rules.LEASE <= delivery_rules.launch_lease(count) <= delivery_rules.LONGEST_LEASE
    assert delivery_rules.launch_lease(count) <= delivery_rules.launch_lease(count + 1)
    assert delivery_rules.launch_lease(-count) == delivery_rules.LEASE


@given(st.integers(0, 10**9))
def test_a_pause_grows_and_stays_within_its_bounds(count: int) -> None:
    assert delivery_rules.FIRST_PAUSE <= delivery_rules.pause_before_retry(count) <= timedelta(minutes=15)
    assert delivery_rules.pause_before_retry(count) <= delivery_rules.pause_before_retry(count + 1)


def test_the_first_pauses_double() -> None:
    seconds = [delivery_rules.pause_before_retry(count).total_seconds() for count in range(9)]
    assert seconds == [15, 15, 30, 60, 120, 240, 480, 900, 900]


def test_a_delivery_is_given_up_after_a_day_of_trying_and_not_before() -> None:
    day = timedelta(hours=24)
    assert not delivery_rules.is_expired(retry_window_started_at=None, now=NOW)
    assert not delivery_rules.is_expired(retry_window_started_at=NOW, now=NOW + day - timedelta(microseconds=1))
    assert delivery_rules.is_expired(retry_window_started_at=NOW, now=NOW + day)


def test_the_day_begins_anew_when_nobody_tried_for_longer_than_an_hour() -> None:
    assert delivery_rules.is_new_series(last_attempt_ended_at=None, now=NOW)
    assert not delivery_rules.is_new_series(last_attempt_ended_at=NOW, now=NOW + delivery_rules.SERIES_GAP)
    assert delivery_rules.is_new_series(
        last_attempt_ended_at=NOW, now=NOW + delivery_rules.SERIES_GAP + timedelta(seconds=1)
    )
    # A clock that was far ahead: what it wrote says nothing about how long was tried.
    assert delivery_rules.is_new_series(last_attempt_ended_at=NOW + timedelta(days=1), now=NOW)


def test_no_day_begins_anew_while_others_try_the_host_in_turn() -> None:
    now = NOW + timedelta(hours=5)
    assert not delivery_rules.is_new_series(last_attempt_ended_at=NOW, failing_since=NOW - timedelta(hours=9), now=now)
    assert not delivery_rules.is_new_series(
        last_attempt_ended_at=NOW, failing_since=NOW + delivery_rules.SERIES_GAP, now=now
    )
    # Nobody tried from the last try until the host began to fail: we were switched off in between.
    assert delivery_rules.is_new_series(last_attempt_ended_at=NOW, failing_since=NOW + timedelta(hours=2), now=now)
    assert delivery_rules.is_new_series(last_attempt_ended_at=now + timedelta(days=1), failing_since=NOW, now=now)
    assert delivery_rules.is_new_series(last_attempt_ended_at=None, failing_since=NOW, now=now)


def test_pauses_of_a_series_never_look_like_an_outage() -> None:
    assert delivery_rules.LONGEST_PAUSE + delivery_rules.LONGEST_LEASE < delivery_rules.SERIES_GAP
    assert max(delivery_rules.LONGEST_PAUSE, delivery_rules.LONGEST_LEASE) < delivery_rules.MAX_LEASE_WITH_CLOCK_SKEW


def test_a_delivery_whose_attempts_die_is_given_up_only_while_they_keep_dying() -> None:
    since, died = NOW - timedelta(hours=24), NOW - timedelta(seconds=1)
    assert delivery_rules.is_crash_looping(retry_window_started_at=since, last_attempt_ended_at=died, now=NOW)
    assert not delivery_rules.is_crash_looping(
        retry_window_started_at=since + timedelta(seconds=1), last_attempt_ended_at=died, now=NOW
    )
    assert not delivery_rules.is_crash_looping(
        retry_window_started_at=since, last_attempt_ended_at=NOW - timedelta(minutes=6), now=NOW
    )
    assert not delivery_rules.is_crash_looping(retry_window_started_at=since, last_attempt_ended_at=None, now=NOW)


@pytest.mark.parametrize(("one", "other"), [("Build", " bUILD\t"), ("STRASSE", "straße"), ("É", "é")])
def test_labels_are_compared_trimmed_and_without_case(one: str, other: str) -> None:
    assert rules.label_key(one) == rules.label_key(other)


def test_a_preview_is_too_little_to_use() -> None:
    assert rules.secret_preview("abcdefghijkl") == "abcd…"
