"""A bulkhead divides its places among accounts, and among the operations of one."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Sequence
from functools import partial
from uuid import UUID

import pytest

from bootpress.core.errors import RateLimited
from bootpress.entrypoints.api.batching import Bulkhead, Places

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


ONE = Places(all=1, per_account=1, per_operation=1, patience=60)
QUEUE_OF_TWO = dataclasses.replace(ONE, waiting=2)


async def begun() -> None:
    """Let calls come as far as they come by themselves."""
    for _ in range(20):
        await asyncio.sleep(0)


def served(places: Places, calls: Sequence[UUID]) -> list[UUID]:
    """Let all places be held by the first calls, and the others wait; return whose calls are served, in order."""

    async def in_turn() -> list[UUID]:
        bulkhead, over, order = Bulkhead(places), threading.Event(), list[UUID]()

        def work(account_id: UUID) -> None:
            order.append(account_id)
            over.wait()

        tasks = [asyncio.create_task(bulkhead.run(one, "x", partial(work, one))) for one in calls]
        await begun()
        over.set()
        await asyncio.gather(*tasks)
        assert bulkhead.is_empty()
        return order

    return asyncio.run(in_turn())


def test_accounts_that_hold_as_much_take_turns_however_many_calls_wait() -> None:
    assert served(ONE, [A, A, A, A, B, B, C]) == [A, A, B, C, A, B, A]


def test_a_free_place_goes_to_the_account_that_holds_the_fewest() -> None:
    places = Places(all=3, per_account=3, per_operation=3, patience=60)

    async def first_of_the_waiting() -> UUID:
        bulkhead, first, others = Bulkhead(places), threading.Event(), threading.Event()
        holding = [asyncio.create_task(bulkhead.run(B, "x", first.wait))]
        holding += [asyncio.create_task(bulkhead.run(A, "x", others.wait)) for _ in range(2)]
        order: list[UUID] = []
        waiting = [asyncio.create_task(bulkhead.run(one, "x", partial(order.append, one))) for one in (A, C)]
        await begun()
        first.set()
        await asyncio.gather(*waiting)
        others.set()
        await asyncio.gather(*holding)
        return order[0]

    assert asyncio.run(first_of_the_waiting()) == C


def test_who_finds_the_queue_of_the_account_full_is_turned_away_at_once_and_others_are_not() -> None:
    async def turned_away() -> str:
        bulkhead, over = Bulkhead(QUEUE_OF_TWO), threading.Event()
        tasks = [asyncio.create_task(bulkhead.run(A, "x", over.wait)) for _ in range(3)]
        tasks.append(asyncio.create_task(bulkhead.run(B, "x", over.wait)))
        await begun()
        with pytest.raises(RateLimited) as refusal:
            await bulkhead.run(A, "y", over.wait)
        over.set()
        assert await asyncio.gather(*tasks) == [True] * 4
        assert bulkhead.is_empty()
        return refusal.value.message

    assert asyncio.run(turned_away()) == "y: 2 calls of this account wait for a place already"


def test_nothing_is_kept_of_who_went_away_or_waited_in_vain() -> None:
    async def kept() -> bool:
        bulkhead, over = Bulkhead(dataclasses.replace(ONE, patience=0.05)), threading.Event()
        holder = asyncio.create_task(bulkhead.run(A, "x", over.wait))
        gone = asyncio.create_task(bulkhead.run(A, "x", over.wait))
        in_vain = [asyncio.create_task(bulkhead.run(UUID(int=number), "x", over.wait)) for number in range(9, 99)]
        await asyncio.sleep(0)
        gone.cancel()
        refusals = await asyncio.gather(gone, *in_vain, return_exceptions=True)
        assert isinstance(refusals[0], asyncio.CancelledError)
        assert all(isinstance(one, RateLimited) for one in refusals[1:])
        over.set()
        await holder
        return not bulkhead.is_empty()

    assert asyncio.run(kept()) is False


def test_a_place_given_to_who_goes_away_in_that_moment_is_given_on() -> None:
    async def given_on() -> str:
        bulkhead, over = Bulkhead(ONE), threading.Event()
        holder = asyncio.create_task(bulkhead.run(A, "x", over.wait))
        gone = asyncio.create_task(bulkhead.run(A, "x", over.wait))
        last = asyncio.create_task(bulkhead.run(A, "x", lambda: "served"))
        await asyncio.sleep(0)
        holder.add_done_callback(lambda _: gone.cancel())
        over.set()
        answers = await asyncio.gather(holder, gone, last, return_exceptions=True)
        assert isinstance(answers[1], asyncio.CancelledError)
        assert bulkhead.is_empty()
        return str(answers[2])

    assert asyncio.run(given_on()) == "served"
