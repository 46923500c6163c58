"""Retry-After, as a number of seconds and as an HTTP date."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bootpress.http_client.retry import read_retry_after

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
    assert read_retry_after(header, NOW) == seconds


@given(st.text(max_size=40))
@example("0\x1f")
def test_any_retry_after_is_read_without_an_error(header: str) -> None:
    seconds = read_retry_after(header, NOW)
    assert seconds is None or seconds >= 0
