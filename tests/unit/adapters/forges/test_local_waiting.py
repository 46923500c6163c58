"""Whose turn it is among runs that wait, and when waiting ends."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from bootpress.adapters.forges.embedded.execution.runs import RunSpec
from bootpress.adapters.forges.embedded.execution.waiting import FairQueue, WaitingRun, overdue

NOW = datetime(2025, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def run(name: str, *, waited: timedelta = timedelta()) -> WaitingRun:
    repository = f"acme/{name.rstrip('0123456789')}"
    spec = RunSpec(repository, "build.yml", "push", "refs/heads/main", "c0ffee", (NOW - waited).isoformat())
    return WaitingRun(name, spec)


def queue_of(*names: str) -> FairQueue:
    queue = FairQueue()
    for name in names:
        queue.add(run(name))
    return queue


def taken(queue: FairQueue, *, unserved: str = "", running: tuple[str, ...] = ()) -> list[str]:
    """Take everything, as if each run ended before the next began."""
    found = []
    while next_one := queue.take(lambda each: each != f"acme/{unserved}", Counter(f"acme/{each}" for each in running)):
        found.append(next_one.id)
    return found


def test_repositories_take_turns_and_their_runs_come_in_order() -> None:
    assert taken(queue_of("a1", "a2", "a3", "b1", "c1", "c2")) == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_a_repository_that_comes_later_comes_before_the_second_run_of_another() -> None:
    queue = queue_of("a1", "a2")
    first = queue.take(lambda _: True, {})
    queue.add(run("b1"))
    assert first is not None
    assert [first.id, *taken(queue)] == ["a1", "a2", "b1"]  # b came when a had had its turn


def test_a_repository_none_of_which_runs_comes_first() -> None:
    assert taken(queue_of("a1", "b1"), running=("a",)) == ["b1", "a1"]


def test_who_is_not_served_holds_up_nobody_and_keeps_its_runs() -> None:
    queue = queue_of("a1", "a2", "b1", "b2")
    assert taken(queue, unserved="a") == ["b1", "b2"]
    assert taken(queue) == ["a1", "a2"]


def test_what_is_put_back_is_first_of_its_repository_and_behind_the_others() -> None:
    queue = queue_of("a1", "a2", "b1")
    again = queue.take(lambda _: True, {})
    assert again is not None
    queue.put_back(again)
    assert taken(queue) == ["b1", "a1", "a2"]


def test_what_is_gone_is_taken_out() -> None:
    queue = queue_of("a1", "a2", "b1")
    queue.forget({"a1", "b1"}.__contains__)
    assert [each.id for each in queue.first()] == ["a2"]
    assert taken(queue) == ["a2"]


@pytest.mark.parametrize(
    ("waited", "is_served", "says"),
    [
        (HOUR, False, None),
        (HOUR + timedelta(seconds=1), False, "no worker took it in 1 hour:"),
        (HOUR + timedelta(seconds=1), True, None),
        (24 * HOUR, True, None),
        (25 * HOUR, True, "its turn did not come in 24 hours"),
        (-HOUR, True, None),
    ],
)
def test_waiting_ends_with_a_reason(waited: timedelta, *, is_served: bool, says: str | None) -> None:
    given = run("a1", waited=waited)
    found = overdue(given, now=NOW, is_served=is_served, limit=24 * HOUR, without_worker=HOUR)
    assert (found is None) if says is None else says in str(found)
