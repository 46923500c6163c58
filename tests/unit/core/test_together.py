"""One thread asks for all who came at once; nobody waits for others, and nobody's error is another's."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from bootpress.core.errors import CatalogUnavailable
from bootpress.core.together import AT_ONCE, Together

THREADS = 24
THIRTEEN = 1313
SECONDS = 10


class Work:
    """Doubles numbers; the first call waits until `go`, so that the others come meanwhile."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.began, self.go = threading.Event(), threading.Event()
        self.away = False

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.groups.append(list(numbers))
        if len(self.groups) == 1:
            self.began.set()
            assert self.go.wait(SECONDS)
        if self.away:
            raise CatalogUnavailable("away")
        if THIRTEEN in numbers:
            raise ValueError("thirteen")
        return [2 * number for number in numbers]


def ask_at_once(together: Together[int, int], work: Work, numbers: Sequence[int]) -> list[int | str]:
    """Ask from a thread each, all but the first while the first is under way."""

    def ask(number: int) -> int | str:
        try:
            return together.ask(number)
        except (ValueError, CatalogUnavailable) as error:
            return str(error)

    with ThreadPoolExecutor(len(numbers)) as pool:
        first = pool.submit(ask, numbers[0])
        assert work.began.wait(SECONDS)
        others = [pool.submit(ask, number) for number in numbers[1:]]
        while len(together._queue) < len(others):
            assert not any(one.done() for one in others)
        work.go.set()
        return [one.result(SECONDS) for one in (first, *others)]


def test_one_alone_is_answered_at_once() -> None:
    work = Work()
    work.go.set()
    assert Together(work).ask(4) == 8
    assert work.groups == [[4]]


def test_those_who_come_meanwhile_share_one_call() -> None:
    work = Work()
    assert ask_at_once(Together(work), work, range(THREADS)) == [2 * number for number in range(THREADS)]
    assert [len(group) for group in work.groups] == [1, THREADS - 1]


def test_no_call_is_larger_than_its_bound() -> None:
    work = Work()
    assert ask_at_once(Together(work), work, range(AT_ONCE + 10)) == [2 * number for number in range(AT_ONCE + 10)]
    assert [len(group) for group in work.groups] == [1, AT_ONCE, 9]


def test_a_question_that_fails_fails_alone() -> None:
    work = Work()
    assert ask_at_once(Together(work), work, [1, 12, THIRTEEN, 14]) == [2, 24, "thirteen", 28]


def test_an_outage_is_everybodys_and_not_asked_for_again() -> None:
    work = Work()
    work.away = True
    assert ask_at_once(Together(work), work, range(THREADS)) == ["away"] * THREADS
    assert [len(group) for group in work.groups] == [1, THREADS - 1]


def test_an_interrupt_leaves_nobody_waiting_for_ever() -> None:
    def work(_: Sequence[int]) -> list[int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Together(work).ask(1)
