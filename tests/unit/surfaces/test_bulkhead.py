"""A bulkhead divides its places among accounts, and among the operations of one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import partial
from uuid import UUID

import pytest

from bootpress.core.errors import RateLimited
from bootpress.surfaces.api.threads import Bulkhead, Places

A, B, C = (UUID(int=number) for number in range(1, 4))
PLACES = Places(all=5, per_account=4, per_operation=2, patience=0.2)


def admitted(calls: Sequence[tuple[UUID, str]]) -> list[bool]:
    """Let calls wait until every one of them has a place or was turned away; tell which found places."""

    async def all_of_them() -> list[bool]:
        bulkhead, over, decided = Bulkhead(PLACES), threading.Event(), threading.Semaphore(0)
        found = [False] * len(calls)

        def hang(number: int) -> None:
            found[number] = True
            decided.release()
            over.wait()

        async def call(number: int) -> None:
            try:
                await bulkhead.run(*calls[number], partial(hang, number))
            except RateLimited:
                decided.release()

        tasks = [asyncio.create_task(call(number)) for number in range(len(calls))]
        await asyncio.to_thread(lambda: [decided.acquire() for _ in calls])
        over.set()
        await asyncio.gather(*tasks)
        return found

    return asyncio.run(all_of_them())


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([(A, "x")] * 4, [True, True, False, False]),
        ([(A, "x")] * 3 + [(A, "y")], [True, True, False, True]),
        ([(A, "x"), (A, "x"), (A, "y"), (A, "y"), (A, "z"), (B, "x")], [True, True, True, True, False, True]),
        ([(A, name) for name in "xyzw"] + [(B, "x"), (C, "x")], [True, True, True, True, True, False]),
    ],
)
def test_who_finds_a_place(calls: Sequence[tuple[UUID, str]], found: list[bool]) -> None:
    assert admitted(calls) == found


def test_places_are_given_back_whatever_became_of_the_call() -> None:
    async def again_and_again() -> None:
        bulkhead = Bulkhead(PLACES)
        for _ in range(20):
            with pytest.raises(ZeroDivisionError):
                await bulkhead.run(A, "x", lambda: 1 // 0)

    asyncio.run(again_and_again())


def test_who_waits_is_served_when_a_place_becomes_free() -> None:
    async def in_turn() -> list[int]:
        bulkhead = Bulkhead(Places(all=1, per_account=1, per_operation=1, patience=60))
        return await asyncio.gather(*(bulkhead.run(A, "x", partial(int, number)) for number in range(5)))

    assert asyncio.run(in_turn()) == [0, 1, 2, 3, 4]
