"""Batches leave the processor to runs of one delivery."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from tasks.yielding import Yielding
from tests.support.processes import wait_for

pytestmark = pytest.mark.slow

HOUR = 3600.0


def deliver(yielding: Yielding, done: list[int], number: int) -> None:
    for _ in range(number):
        with yielding.delivery_of_batch():
            pass
        done.append(1)


def test_a_batch_waits_after_a_delivery_until_no_single_run_is_under_way() -> None:
    asked: list[float] = []

    def computed() -> float:
        asked.append(HOUR * len(asked))
        return asked[-1]

    yielding, done = Yielding(computed=computed), list[int]()
    thread = threading.Thread(target=deliver, args=(yielding, done, 1), daemon=True)
    with yielding.single():
        thread.start()
        wait_for(lambda: len(asked) == 2, what="the batch has computed for an hour")
        assert not done
    thread.join(60)
    assert done == [1]


def test_batches_go_on_beside_a_single_run_that_does_not_end() -> None:
    ticks = count()
    yielding, done = Yielding(computed=lambda: next(ticks) / 1000), list[int]()
    with yielding.single():
        thread = threading.Thread(target=deliver, args=(yielding, done, 3), daemon=True)
        thread.start()
        wait_for(lambda: len(done) == 3, what="the batch has gone on")


def test_without_a_single_run_nobody_waits() -> None:
    ticks = count()
    yielding, done = Yielding(computed=lambda: next(ticks) * HOUR), list[int]()
    deliver(yielding, done, 3)
    assert done == [1, 1, 1]
