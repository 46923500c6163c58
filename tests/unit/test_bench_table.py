"""A bar that is missed is said, and fails the run; what reaches its bar, or has none, does neither."""

from __future__ import annotations

import math

import pytest

from benchmarks.__main__ import conclude
from benchmarks.table import Measured, Target, around, at_least, at_most, faster, missed, render, share


@pytest.mark.parametrize(
    ("bar", "value", "holds"),
    [
        (at_most(0.85), 0.85, True),
        (at_most(0.85), 0.8500001, False),
        (at_most(0.85), -1, True),
        (at_least(8), 8, True),
        (at_least(8), 7.999, False),
        (at_least(8), math.inf, True),
        (around(1, by=0.02), 1.02, True),
        (around(1, by=0.02), 0.98, True),
        (around(1, by=0.02), 1.021, False),
        (around(1, by=0.02), 0.979, False),
        (around(0.5, by=0.02), 1, False),
    ],
)
def test_a_bar_is_reached_at_its_end_and_missed_beyond(bar: Target, value: float, holds: bool) -> None:  # noqa: FBT001 - a case
    assert bar.holds(value) is holds


@pytest.mark.parametrize("bar", [at_most(1), at_least(1), around(1, by=1)])
def test_what_is_no_number_reaches_no_bar(bar: Target) -> None:
    assert not bar.holds(math.nan)


def test_times_are_compared_in_the_direction_of_their_bar() -> None:
    assert not faster("quick", 1, 8, beside="a peer", bar=8).is_missed
    assert faster("slow", 1, 7.9, beside="a peer", bar=8).is_missed
    assert not share("small", 0.85, 1, beside="a peer", bar=0.85).is_missed
    assert share("large", 0.86, 1, beside="a peer", bar=0.85).is_missed
    assert not share("without a bar", 9, 1, beside="a peer").is_missed


def test_a_value_is_compared_as_it_was_measured_not_as_it_is_shown() -> None:
    row = share("just over", 0.8504, 1, beside="a peer", bar=0.85)
    assert row.ratio == "0.85"
    assert missed([row]) == ["just over: 0.8504, but the bar is ≤ 0.85"]


@pytest.mark.parametrize("fields", [{"bar": at_most(1)}, {"value": 1.0}])
def test_a_bar_without_a_value_is_no_row(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="come together"):
        Measured("half", "1 s", **fields)  # type: ignore[arg-type]  # one of the two, which is the point


def test_a_row_shows_its_bar_and_one_without_an_empty_cell() -> None:
    rows = [Measured("a", "1 s"), share("b", 1, 2, beside="of a peer", bar=0.5)]
    assert render(rows).splitlines()[2:] == ["| a | 1 s |  |  |  |", "| b | 1.00 s | 2.00 s of a peer | 0.50 | ≤ 0.5 |"]


def test_the_run_fails_exactly_when_a_bar_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad, bare = (
        faster("good", 1, 9, beside="", bar=8),
        faster("bad", 1, 2, beside="", bar=8),
        Measured("bare", "1 s"),
    )
    assert conclude([good, bare]) == 0
    assert capsys.readouterr().out == "every bar is reached: 1\n"
    assert conclude([good, bad, bare]) == 1
    assert capsys.readouterr().err == "missed: bad: 2, but the bar is ≥ 8x\n"
