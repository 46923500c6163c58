"""Attempts: who works on a delivery, who takes over, and that nobody works on one twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from bootpress.core.deliveries import attempts
from bootpress.core.errors import NotFound, Superseded
from bootpress.core.publications import completion, ingest
from tests.support.attempts import announce_many, begin_launched, find_attempt, prove
from tests.support.core_harness import CoreHarness


def test_an_attempt_lives_as_long_as_it_is_renewed(world: CoreHarness) -> None:
    [delivery_id] = announce_many(world, 1)
    attempt_id = world.begin(delivery_id)
    for _ in range(5):
        world.clock.advance(seconds=29)
        attempts.renew(world.context, [attempt_id])
        assert attempts.launch_due(world.context).launched == 0
    world.clock.advance(seconds=30)
    assert attempts.launch_due(world.context).launched == 1
    assert find_attempt(world, attempt_id).outcome == "lease ran out"


def test_an_attempt_that_lost_its_lease_can_decide_nothing_any_more(world: CoreHarness) -> None:
    world.platform()
    world.images.image(tag="v1")
    delivery_id = world.announce()
    old = world.begin(delivery_id)
    prove(world, old)
    world.clock.advance(seconds=31)
    attempts.launch_due(world.context)
    with pytest.raises(Superseded):
        completion.publish(world.context, old)
    assert completion.finish_with_error(world.context, old, RuntimeError()) == "superseded"
    with pytest.raises(Superseded):
        ingest.read_manifest(world.context, old)
    attempts.renew(world.context, [old])
    assert find_attempt(world, old).status == "ended"
    [launch] = world.launcher.deliveries
    new = begin_launched(world, launch)
    assert world.work(new) == "published"


def test_a_run_whose_attempt_was_taken_over_does_not_begin(world: CoreHarness) -> None:
    [delivery_id] = announce_many(world, 1)
    attempts.launch(world.context, delivery_id)
    [launch] = world.launcher.deliveries
    world.clock.advance(seconds=31)
    attempts.launch_due(world.context)
    with pytest.raises(Superseded, match="held by another attempt"):
        begin_launched(world, launch)


def test_a_run_started_by_hand_takes_a_delivery_that_nobody_holds(world: CoreHarness) -> None:
    [delivery_id] = announce_many(world, 1)
    attempt_id = attempts.start(world.context, delivery_id, attempt_id=None, flow_run_id=None)
    assert world.delivery(delivery_id).status == "processing"
    with pytest.raises(Superseded, match="held by another attempt"):
        attempts.start(world.context, delivery_id, attempt_id=None, flow_run_id=None)
    assert attempts.start(world.context, delivery_id, attempt_id=attempt_id, flow_run_id=None) == attempt_id
    assert attempts.launch_due(world.context).launched == 0


def test_a_finished_or_unknown_delivery_does_not_begin(world: CoreHarness) -> None:
    delivery_id = world.announce(slug="nobody")
    assert world.process(delivery_id) == "failed"
    with pytest.raises(Superseded, match="is failed already"):
        world.begin(delivery_id)
    with pytest.raises(NotFound):
        world.begin(uuid4())


def test_a_postponed_delivery_waits_for_its_moment(world: CoreHarness) -> None:
    world.platform()
    delivery_id = world.announce()
    with world.registry_away("v1"):
        assert world.process(delivery_id) == "postponed"
    assert attempts.launch_due(world.context).launched == 0
    world.clock.advance(seconds=15)
    assert attempts.launch_due(world.context).launched == 1


def test_of_many_that_begin_at_once_one_holds_the_delivery(world: CoreHarness) -> None:
    [delivery_id] = announce_many(world, 1)
    gate = threading.Barrier(8)

    def begin(_: int) -> bool:
        gate.wait()
        try:
            world.begin(delivery_id)
        except Superseded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(begin, range(8))) == [False] * 7 + [True]
