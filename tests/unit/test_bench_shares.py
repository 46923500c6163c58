"""Where the time of an ingest goes: whatever a run was like, its parts are the whole of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.shares import BETWEEN, STEPS, Run, rows, typical

STORED = datetime(2026, 11, 23, tzinfo=UTC)
TASKS = list(STEPS.values())
MOMENTS = 3 + 2 * len(TASKS)


def make_run(gaps: list[int]) -> Run:
    """Make a run from the milliseconds between one recorded moment and the next."""
    passed = [sum(gaps[: position + 1]) for position in range(len(gaps))]
    stored, created, begun, *rest = [STORED + timedelta(milliseconds=each) for each in passed]
    return Run(stored, created, begun, dict(zip(TASKS, zip(rest[::2], rest[1::2], strict=True), strict=True)))


runs = st.lists(st.integers(0, 5000), min_size=MOMENTS, max_size=MOMENTS).map(make_run)


@given(run=runs)
def test_the_parts_of_a_run_are_the_whole_of_it(run: Run) -> None:
    parts = run.divide()
    assert sum(parts.values()) == pytest.approx(run.whole)
    assert min(parts.values()) >= -1e-9


def test_what_passes_in_no_task_has_a_part_of_its_own() -> None:
    run = make_run([0, 30, 200, 100, *[10, 7] * (len(TASKS) - 1), 10])
    parts = run.divide()
    assert parts[BETWEEN] == pytest.approx(0.007 * (len(TASKS) - 1))
    assert [parts[task] for task in TASKS] == pytest.approx([0.01] * len(TASKS))


@given(several=st.lists(runs, min_size=1, max_size=9))
def test_the_parts_of_typical_runs_are_the_whole_of_a_typical_run(several: list[Run]) -> None:
    wholes = sorted(run.whole for run in several)
    whole = sum(typical(several).values())
    assert wholes[len(several) // 3] - 1e-6 <= whole <= wholes[-len(several) // 3] + 1e-6


def test_the_whole_is_the_first_row_and_every_part_a_row_of_its_own() -> None:
    parts = make_run([0, 30, 200, 100, *[10, 7] * (len(TASKS) - 1), 10]).divide()
    first, *others = rows(dict.fromkeys(TASKS, 0.001), parts)
    assert first.value == pytest.approx(0.006 / sum(parts.values()))
    assert first.bar is not None
    assert sorted(row.what for row in others) == sorted(f"… {part}" for part in parts)
