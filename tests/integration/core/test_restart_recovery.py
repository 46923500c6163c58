"""A stack that starts again, and a clock that is set back: nothing waits for what was before."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from bootpress.core.deliveries import attempts, leases
from bootpress.core.errors import OrchestratorUnavailable
from tests.support.attempts import announce_many
from tests.support.core_harness import CoreHarness
from tests.support.fakes import FakeLauncher


def test_a_start_waits_for_no_launch_and_no_pause_of_its_predecessor(world: CoreHarness) -> None:
    world.platform()
    launched, postponed = announce_many(world, 2)
    for _ in range(6):
        attempts.launch_due(world.context)
        world.clock.advance(minutes=15)
    with world.registry_away("v1"):
        for _ in range(7):
            assert world.process(postponed) == "postponed"
    attempts.launch_due(world.context)
    assert attempts.launch_due(world.context).launched == 0
    leases.shorten_leases_after_restart(world.context)
    world.clock.advance(seconds=29)
    assert attempts.launch_due(world.context).launched == 0
    world.clock.advance(seconds=1)
    assert attempts.launch_due(world.context).launched == 2
    assert {launch.delivery_id for launch in world.launcher.deliveries[-2:]} == {launched, postponed}


def test_every_start_relaunches_as_soon_as_the_first_however_often_it_is_killed(world: CoreHarness) -> None:
    announce_many(world, 1)
    attempts.launch_due(world.context)
    for _ in range(5):
        leases.shorten_leases_after_restart(world.context)
        world.clock.advance(seconds=30)
        assert attempts.launch_due(world.context).launched == 1


def test_a_start_leaves_to_their_leases_the_attempts_that_began(world: CoreHarness) -> None:
    [delivery_id] = announce_many(world, 1)
    attempt_id = world.begin(delivery_id)
    leases.shorten_leases_after_restart(world.context)
    world.clock.advance(seconds=20)
    attempts.renew(world.context, [attempt_id])
    world.clock.advance(seconds=20)
    assert attempts.launch_due(world.context).launched == 0


@pytest.mark.parametrize("count", [1, 20])
def test_a_launch_that_fails_while_a_start_begins_anew_stops_no_relay(world: CoreHarness, count: int) -> None:
    class Restarted(FakeLauncher):
        """Has the stack start anew while a launch is under way, which then fails."""

        def answer(self) -> None:
            leases.shorten_leases_after_restart(world.context)
            raise OrchestratorUnavailable("its answer did not come")

    ids = announce_many(world, count)  # one run each, or a batch of all
    with pytest.raises(OrchestratorUnavailable):
        attempts.launch_due(replace(world.context, launcher=Restarted()))
    assert [world.delivery(one).unacknowledged_launches for one in ids] == [0] * count
    for _ in range(3):
        assert attempts.launch_due(world.context).launched == count
        world.clock.advance(minutes=20)


@pytest.mark.part("postgresql")
def test_a_start_beside_a_run_that_begins_waits_for_it(postgres_world: CoreHarness) -> None:
    world = postgres_world
    [delivery_id] = announce_many(world, 1)
    for _ in range(3):
        attempts.launch_due(world.context)
        world.clock.advance(minutes=15)
    attempts.launch_due(world.context)
    attempt_id = world.delivery(delivery_id).current_attempt_id
    locked, touched = threading.Event(), threading.Event()

    def meet(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        """Stop whoever begins behind its first lock, and the start behind its first change or for a while."""
        if threading.current_thread() is not threading.main_thread():
            if "FOR UPDATE" in statement and not locked.is_set():
                locked.set()
                touched.wait(1)
        elif statement.startswith("UPDATE attempts"):
            touched.set()

    def begin() -> UUID:
        return attempts.start(world.context, delivery_id, attempt_id=attempt_id, flow_run_id=uuid4())

    event.listen(world.catalog.engine, "after_cursor_execute", meet)
    with ThreadPoolExecutor(1) as thread:
        beginning = thread.submit(begin)
        assert locked.wait(10)
        leases.shorten_leases_after_restart(world.context)
        assert beginning.result(10) == attempt_id
    assert world.delivery(delivery_id).status == "processing"


@pytest.mark.parametrize("hours", [1, 24 * 365 * 50])
def test_a_clock_that_was_stepped_back_keeps_nothing_waiting(world: CoreHarness, hours: int) -> None:
    world.platform()
    new, launched, running, postponed = announce_many(world, 4)
    attempts.launch(world.context, launched)
    world.begin(running)
    with world.registry_away("v1"):
        assert world.process(postponed) == "postponed"
    world.clock.advance(hours=-hours)
    assert attempts.launch_due(world.context).launched == 4
    begun = {launch.delivery_id for launch in world.launcher.deliveries[-4:]}
    assert begun == {new, launched, running, postponed}


def test_a_new_delivery_does_not_wait_for_a_clock_that_was_stepped_back_a_little(world: CoreHarness) -> None:
    announce_many(world, 1)
    world.clock.advance(minutes=-10)
    assert attempts.launch_due(world.context).launched == 1


def test_a_clock_that_differs_a_little_takes_nobody_over(world: CoreHarness) -> None:
    announce_many(world, 1)
    for _ in range(6):
        attempts.launch_due(world.context)
        world.clock.advance(minutes=15)
    attempts.launch_due(world.context)
    world.clock.advance(minutes=-4)
    assert attempts.launch_due(world.context).launched == 0
