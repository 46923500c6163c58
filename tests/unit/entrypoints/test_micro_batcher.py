"""One thread asks for all who came at once; nobody waits for others, and nobody's error is another's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest

from bootpress.entrypoints.api.batching import BATCH_SIZE, MicroBatcher

SECONDS = 10


class Work:
    """Doubles numbers; the first call waits until `go`, so that the others come meanwhile."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.began, self.go = threading.Event(), threading.Event()
        self.away = False

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(numbers))
        if len(self.groups) == 1:
            self.began.set()
            assert self.go.wait(SECONDS)
        if self.away:
            raise ConnectionError("away")
        return [ValueError(f"no {number}") if number < 0 else 2 * number for number in numbers]


def run(asking: Coroutine[Any, Any, list[object]]) -> list[object]:
    return asyncio.run(asyncio.wait_for(asking, SECONDS))


async def ask_at_once(work: Work, numbers: Sequence[int], *, threads: int = 1) -> list[object]:
    """Ask for all but the first while the first is under way."""
    together = MicroBatcher(work, threads=threads)
    first = asyncio.create_task(together.submit(numbers[0]))
    await asyncio.to_thread(work.began.wait, SECONDS)
    others = [asyncio.create_task(together.submit(number)) for number in numbers[1:]]
    await asyncio.sleep(0)
    work.go.set()
    return list(await asyncio.gather(first, *others, return_exceptions=True))


def test_one_alone_is_answered_at_once() -> None:
    work = Work()
    work.go.set()
    assert run(ask_at_once(work, [4])) == [8]
    assert work.groups == [[4]]


def test_those_who_come_meanwhile_share_one_call() -> None:
    work = Work()
    assert run(ask_at_once(work, range(24))) == [2 * number for number in range(24)]
    assert [len(group) for group in work.groups] == [1, 23]


def test_no_call_is_larger_than_its_bound() -> None:
    work = Work()
    assert run(ask_at_once(work, range(BATCH_SIZE + 10))) == [2 * number for number in range(BATCH_SIZE + 10)]
    assert [len(group) for group in work.groups] == [1, BATCH_SIZE, 9]


def test_another_thread_goes_on_while_one_waits() -> None:
    async def asking() -> list[object]:
        work = Work()
        together = MicroBatcher(work, threads=2)
        first = asyncio.create_task(together.submit(1))
        await asyncio.to_thread(work.began.wait, SECONDS)
        second = await together.submit(2)
        assert not first.done()
        work.go.set()
        return [await first, second]

    assert run(asking()) == [2, 4]


def test_an_error_is_its_own_questions() -> None:
    assert [str(one) for one in run(ask_at_once(Work(), [1, 2, -3, 4]))] == ["2", "4", "no -3", "8"]


def test_where_the_work_fails_everybody_hears_it() -> None:
    work = Work()
    work.away = True
    assert [str(one) for one in run(ask_at_once(work, [1, 2, 3]))] == ["away"] * 3


def test_who_has_gone_leaves_the_others_their_answers() -> None:
    async def asking() -> list[object]:
        work = Work()
        together = MicroBatcher(work, threads=1)
        gone = asyncio.create_task(together.submit(1))
        await asyncio.to_thread(work.began.wait, SECONDS)
        stays = asyncio.create_task(together.submit(2))
        await asyncio.sleep(0)
        gone.cancel()
        work.go.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return [await stays, await together.submit(3)]

    assert run(asking()) == [4, 6]
