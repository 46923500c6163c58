"""Leases, pauses, labels: bounded however often something failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.webhooks import rules

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)


@given(st.integers(0, 10**9))
def test_a_launchs_lease_grows_and_stays_within_its_bounds(count: int) -> None:
    assert rules.LEASE <= rules.launch_lease(count) <= rules.LONGEST_LEASE
    assert rules.launch_lease(count) <= rules.launch_lease(count + 1)


@given(st.integers(0, 10**9))
def test_a_pause_grows_and_stays_within_its_bounds(count: int) -> None:
    assert rules.FIRST_PAUSE <= rules.pause_before_retry(count) <= timedelta(minutes=15)
    assert rules.pause_before_retry(count) <= rules.pause_before_retry(count + 1)


def test_the_first_pauses_double() -> None:
    seconds = [rules.pause_before_retry(count).total_seconds() for count in range(9)]
    assert seconds == [15, 15, 30, 60, 120, 240, 480, 900, 900]


def test_a_delivery_is_given_up_after_a_day_and_not_before() -> None:
    day = timedelta(hours=24)
    assert not rules.gives_up(received_at=NOW, now=NOW + day - timedelta(microseconds=1))
    assert rules.gives_up(received_at=NOW, now=NOW + day)


@pytest.mark.parametrize(("one", "other"), [("Build", " bUILD\t"), ("STRASSE", "straße"), ("É", "é")])
def test_labels_are_compared_trimmed_and_without_case(one: str, other: str) -> None:
    assert rules.label_key(one) == rules.label_key(other)


def test_a_preview_is_too_little_to_use() -> None:
    assert rules.secret_preview("abcdefghijkl") == "abcd…"
