"""Attempts: who works on a delivery, who takes over, and that nobody works on one twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, func, select

from bootpress.core.context import Limits
from bootpress.core.errors import NotFound, OrchestratorUnavailable, Superseded
from bootpress.core.publications import ingest, settling
from bootpress.core.webhooks import attempts, leases, rules
from bootpress.core.webhooks.attempts import RelayReport
from bootpress.core.webhooks.models import Attempt
from tests.support.core_world import World
from tests.support.fakes import FakeLauncher


def announce_many(world: World, count: int) -> list[UUID]:
    return [world.announce(git_sha=f"{number:040x}") for number in range(count)]


def attempt(world: World, attempt_id: UUID) -> Attempt:
    with world.catalog.reading() as session:
        return session.get_one(Attempt, attempt_id)


def live_attempts(world: World) -> list[Attempt]:
    with world.catalog.reading() as session:
        return list(session.scalars(select(Attempt).where(Attempt.status != "ended")))


def test_a_launch_names_the_run_by_platform_and_commit_and_its_key_is_the_attempt(world: World) -> None:
    [delivery_id] = announce_many(world, 1)
    assert attempts.launch(world.context, delivery_id)
    [launch] = world.launcher.deliveries
    assert (launch.delivery_id, launch.run_name) == (delivery_id, "edge @ 000000000000")
    row = attempt(world, launch.key)
    assert (row.status, row.flow_run_id, row.delivery_id) == ("launching", launch.run_id, delivery_id)
    assert world.delivery(delivery_id).status == "received"
    assert not attempts.launch(world.context, delivery_id)
    assert len(world.launcher.deliveries) == 1


def test_no_more_single_runs_are_launched_than_may_be_in_flight(world: World) -> None:
    ids = announce_many(world, 10)
    assert [attempts.launch(world.context, one) for one in ids] == [True] * 8 + [False] * 2


def test_few_deliveries_are_launched_one_by_one_and_the_rest_in_batches(world: World) -> None:
    announce_many(world, 8)
    assert attempts.relay(world.context) == RelayReport(8, 0, 0)
    announce_many(world, 0)
    for number in range(8, 130):
        world.announce(git_sha=f"{number:040x}")
    assert attempts.relay(world.context) == RelayReport(100, 2, 22)
    assert attempts.relay(world.context) == RelayReport(0, 0, 22)
    sizes = [len(attempts.attempts_of_batch(world.context, batch.key)) for batch in world.launcher.batches]
    assert sizes == [50, 50]
    assert {batch.run_name for batch in world.launcher.batches} == {"50 deliveries"}
    assert len(world.launcher.deliveries) == 8


def test_the_oldest_deliveries_go_first(database_url: str) -> None:
    world = World(database_url, limits=Limits(launches_in_flight=1, batches_in_flight=1, batch_size=2))
    ids = []
    for number in range(4):
        ids.append(world.announce(git_sha=str(number)))
        world.clock.advance(seconds=1)
    assert attempts.relay(world.context) == RelayReport(2, 1, 2)
    [batch] = world.launcher.batches
    assert {delivery_id for delivery_id, _ in attempts.attempts_of_batch(world.context, batch.key)} == set(ids[:2])
    world.catalog.close()


def test_what_could_not_be_launched_is_taken_by_the_next_relay_at_once(world: World) -> None:
    [delivery_id] = announce_many(world, 1)
    with world.launcher.switched_off():
        with pytest.raises(OrchestratorUnavailable):
            attempts.launch(world.context, delivery_id)
        with pytest.raises(OrchestratorUnavailable):
            attempts.relay(world.context)
        assert not attempts.launch_or_leave(world.context, delivery_id)
    assert live_attempts(world) == []
    assert attempts.relay(world.context).launched == 1
    [launch] = world.launcher.deliveries
    assert attempts.begin(world.context, delivery_id, attempt_id=launch.key, flow_run_id=launch.run_id) == launch.key


def test_a_batch_that_could_not_be_launched_is_given_back_whole(world: World) -> None:
    announce_many(world, 20)
    with world.launcher.switched_off(), pytest.raises(OrchestratorUnavailable):
        attempts.relay(world.context)
    assert live_attempts(world) == []
    assert attempts.relay(world.context) == RelayReport(20, 1, 0)


class LostAnswers(FakeLauncher):
    """Starts every run, and never says so."""

    def answer(self) -> None:
        pass

    def launch_delivery(self, delivery_id: UUID, *, key: UUID, run_name: str) -> UUID:
        super().launch_delivery(delivery_id, key=key, run_name=run_name)
        raise OrchestratorUnavailable("the answer was lost")

    def launch_batch(self, batch_id: UUID, *, run_name: str) -> UUID:
        super().launch_batch(batch_id, run_name=run_name)
        raise OrchestratorUnavailable("the answer was lost")


def test_a_run_that_was_started_although_its_launch_seemed_to_fail_may_work(world: World) -> None:
    """The answer was lost, not the run: it takes the delivery up, unless the relay was quicker."""
    context = replace(world.context, launcher=(launcher := LostAnswers()))
    first, second = announce_many(world, 2)
    assert not attempts.launch_or_leave(context, first)
    assert not attempts.launch_or_leave(context, second)
    [one, other] = launcher.deliveries
    taken = attempts.begin(world.context, first, attempt_id=one.key, flow_run_id=one.run_id)
    assert taken == one.key  # whoever began it renews it by the id that it was launched for
    assert attempts.relay(world.context).launched == 1
    with pytest.raises(Superseded, match="held by another attempt"):
        attempts.begin(world.context, second, attempt_id=other.key, flow_run_id=other.run_id)


def test_an_attempt_of_a_batch_that_was_taken_back_while_it_began_is_renewed_with_its_batch(world: World) -> None:
    ids = announce_many(world, 20)
    read: list[tuple[UUID, UUID]] = []

    class BeginsAtOnce(LostAnswers):
        def launch_batch(self, batch_id: UUID, *, run_name: str) -> UUID:
            read.extend(attempts.attempts_of_batch(world.context, batch_id))
            attempts.begin(world.context, read[0][0], attempt_id=read[0][1], flow_run_id=None)
            return super().launch_batch(batch_id, run_name=run_name)

    context = replace(world.context, launcher=BeginsAtOnce())
    with pytest.raises(OrchestratorUnavailable):
        attempts.relay(context)
    begun = [attempts.begin(world.context, one, attempt_id=key, flow_run_id=None) for one, key in read[:5]]
    assert begun == [key for _, key in read[:5]]
    for _ in range(3):
        world.clock.advance(seconds=20)
        attempts.renew(world.context, [key for _, key in read])
    assert attempts.relay(world.context).launched == len(ids) - len(begun)


def test_an_attempt_that_was_taken_back_for_another_decides_nothing(world: World) -> None:
    context = replace(world.context, launcher=(launcher := LostAnswers()))
    [delivery_id] = announce_many(world, 1)
    attempts.launch_or_leave(context, delivery_id)
    [lost] = launcher.deliveries
    attempts.relay(world.context)
    assert ingest.ingest_delivery(world.context, delivery_id, attempt_id=lost.key) == "superseded"
    assert world.delivery(delivery_id).status == "received"


def test_launches_that_failed_leave_no_trace(world: World) -> None:
    ids = announce_many(world, 60)
    with world.launcher.switched_off():
        for _ in range(8):
            with pytest.raises(OrchestratorUnavailable):
                attempts.relay(world.context)
            world.clock.advance(seconds=8)
    with world.catalog.reading() as session:
        assert session.scalar(select(func.count(Attempt.id))) == 0
    assert attempts.relay(world.context).launched == 60
    assert {row.lease_until - world.clock.now() for row in live_attempts(world)} == {rules.LEASE}
    assert {world.delivery(one).attempt_count for one in ids} == {0}


def test_an_attempt_lives_as_long_as_it_is_renewed(world: World) -> None:
    [delivery_id] = announce_many(world, 1)
    attempt_id = world.begin(delivery_id)
    for _ in range(5):
        world.clock.advance(seconds=29)
        attempts.renew(world.context, [attempt_id])
        assert attempts.relay(world.context).launched == 0
    world.clock.advance(seconds=30)
    assert attempts.relay(world.context).launched == 1
    assert attempt(world, attempt_id).outcome == "lease ran out"


def test_an_attempt_that_lost_its_lease_can_decide_nothing_any_more(world: World) -> None:
    world.platform()
    world.images.image(tag="v1")
    delivery_id = world.announce()
    old = world.begin(delivery_id)
    ingest.resolve(world.context, old)
    for step in ingest.STEPS:
        step(world.context, old)
    world.clock.advance(seconds=31)
    attempts.relay(world.context)
    with pytest.raises(Superseded):
        settling.publish(world.context, old)
    assert settling.settle(world.context, old, RuntimeError()) == "superseded"
    with pytest.raises(Superseded):
        ingest.read_manifest(world.context, old)
    attempts.renew(world.context, [old])
    assert attempt(world, old).status == "ended"
    [launch] = world.launcher.deliveries
    new = attempts.begin(world.context, delivery_id, attempt_id=launch.key, flow_run_id=launch.run_id)
    assert world.work(new) == "published"


def test_a_run_whose_attempt_was_taken_over_does_not_begin(world: World) -> None:
    [delivery_id] = announce_many(world, 1)
    attempts.launch(world.context, delivery_id)
    [launch] = world.launcher.deliveries
    world.clock.advance(seconds=31)
    attempts.relay(world.context)
    with pytest.raises(Superseded, match="held by another attempt"):
        attempts.begin(world.context, delivery_id, attempt_id=launch.key, flow_run_id=launch.run_id)


def test_a_run_started_by_hand_takes_a_delivery_that_nobody_holds(world: World) -> None:
    [delivery_id] = announce_many(world, 1)
    attempt_id = attempts.begin(world.context, delivery_id, attempt_id=None, flow_run_id=None)
    assert world.delivery(delivery_id).status == "processing"
    with pytest.raises(Superseded, match="held by another attempt"):
        attempts.begin(world.context, delivery_id, attempt_id=None, flow_run_id=None)
    assert attempts.begin(world.context, delivery_id, attempt_id=attempt_id, flow_run_id=None) == attempt_id
    assert attempts.relay(world.context).launched == 0


def test_a_finished_or_unknown_delivery_does_not_begin(world: World) -> None:
    delivery_id = world.announce(slug="nobody")
    assert world.process(delivery_id) == "failed"
    with pytest.raises(Superseded, match="is failed already"):
        world.begin(delivery_id)
    with pytest.raises(NotFound):
        world.begin(uuid4())


def test_a_postponed_delivery_waits_for_its_moment(world: World) -> None:
    world.platform()
    delivery_id = world.announce()
    with world.registry_away("v1"):
        assert world.process(delivery_id) == "postponed"
    assert attempts.relay(world.context).launched == 0
    world.clock.advance(seconds=15)
    assert attempts.relay(world.context).launched == 1


def test_launches_of_which_nothing_is_heard_are_repeated_ever_more_rarely(world: World) -> None:
    announce_many(world, 1)
    gaps = []
    attempts.relay(world.context)
    for _ in range(7):
        waited = timedelta()
        while attempts.relay(world.context).launched == 0:
            waited += timedelta(seconds=15)
            world.clock.advance(seconds=15)
        gaps.append(waited.total_seconds())
    assert gaps == [30, 60, 120, 240, 480, 900, 900]
    assert max(gaps) == rules.LONGEST_LEASE.total_seconds()


def test_a_start_waits_for_no_launch_and_no_pause_of_its_predecessor(world: World) -> None:
    world.platform()
    launched, postponed = announce_many(world, 2)
    for _ in range(6):
        attempts.relay(world.context)
        world.clock.advance(minutes=15)
    with world.registry_away("v1"):
        for _ in range(7):
            assert world.process(postponed) == "postponed"
    attempts.relay(world.context)
    assert attempts.relay(world.context).launched == 0
    leases.start_anew(world.context)
    world.clock.advance(seconds=29)
    assert attempts.relay(world.context).launched == 0
    world.clock.advance(seconds=1)
    assert attempts.relay(world.context).launched == 2
    assert {launch.delivery_id for launch in world.launcher.deliveries[-2:]} == {launched, postponed}


def test_every_start_relaunches_as_soon_as_the_first_however_often_it_is_killed(world: World) -> None:
    announce_many(world, 1)
    attempts.relay(world.context)
    for _ in range(5):
        leases.start_anew(world.context)
        world.clock.advance(seconds=30)
        assert attempts.relay(world.context).launched == 1


def test_a_start_leaves_to_their_leases_the_attempts_that_began(world: World) -> None:
    [delivery_id] = announce_many(world, 1)
    attempt_id = world.begin(delivery_id)
    leases.start_anew(world.context)
    world.clock.advance(seconds=20)
    attempts.renew(world.context, [attempt_id])
    world.clock.advance(seconds=20)
    assert attempts.relay(world.context).launched == 0


@pytest.mark.parametrize("count", [1, 20])
def test_a_launch_that_fails_while_a_start_begins_anew_stops_no_relay(world: World, count: int) -> None:
    class Restarted(FakeLauncher):
        """Has the stack start anew while a launch is under way, which then fails."""

        def answer(self) -> None:
            leases.start_anew(world.context)
            raise OrchestratorUnavailable("its answer did not come")

    ids = announce_many(world, count)  # one run each, or a batch of all
    with pytest.raises(OrchestratorUnavailable):
        attempts.relay(replace(world.context, launcher=Restarted()))
    assert [world.delivery(one).unheard_launches for one in ids] == [0] * count
    for _ in range(3):
        assert attempts.relay(world.context).launched == count
        world.clock.advance(minutes=20)


@pytest.mark.part("postgresql")
def test_a_start_beside_a_run_that_begins_waits_for_it(postgres_world: World) -> None:
    world = postgres_world
    [delivery_id] = announce_many(world, 1)
    for _ in range(3):
        attempts.relay(world.context)
        world.clock.advance(minutes=15)
    attempts.relay(world.context)
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
        return attempts.begin(world.context, delivery_id, attempt_id=attempt_id, flow_run_id=uuid4())

    event.listen(world.catalog.engine, "after_cursor_execute", meet)
    with ThreadPoolExecutor(1) as thread:
        beginning = thread.submit(begin)
        assert locked.wait(10)
        leases.start_anew(world.context)
        assert beginning.result(10) == attempt_id
    assert world.delivery(delivery_id).status == "processing"


@pytest.mark.parametrize("hours", [1, 24 * 365 * 50])
def test_a_clock_that_was_stepped_back_keeps_nothing_waiting(world: World, hours: int) -> None:
    world.platform()
    new, launched, running, postponed = announce_many(world, 4)
    attempts.launch(world.context, launched)
    world.begin(running)
    with world.registry_away("v1"):
        assert world.process(postponed) == "postponed"
    world.clock.advance(hours=-hours)
    assert attempts.relay(world.context).launched == 4
    begun = {launch.delivery_id for launch in world.launcher.deliveries[-4:]}
    assert begun == {new, launched, running, postponed}


def test_a_new_delivery_does_not_wait_for_a_clock_that_was_stepped_back_a_little(world: World) -> None:
    announce_many(world, 1)
    world.clock.advance(minutes=-10)
    assert attempts.relay(world.context).launched == 1


def test_a_clock_that_differs_a_little_takes_nobody_over(world: World) -> None:
    announce_many(world, 1)
    for _ in range(6):
        attempts.relay(world.context)
        world.clock.advance(minutes=15)
    attempts.relay(world.context)
    world.clock.advance(minutes=-4)
    assert attempts.relay(world.context).launched == 0


def test_relays_at_once_never_give_one_delivery_twice(database_url: str) -> None:
    world = World(database_url, limits=Limits(launches_in_flight=100, batches_in_flight=100, batch_size=7))
    ids = announce_many(world, 60)
    gate = threading.Barrier(6)

    def relay(_: int) -> RelayReport:
        gate.wait()
        return attempts.relay(world.context)

    with ThreadPoolExecutor(6) as pool:
        reports = list(pool.map(relay, range(6)))
    # Whoever met a row that another one had locked leaves it to the next relay.
    reports.append(attempts.relay(world.context))
    assert sum(report.launched for report in reports) == 60
    launched = [launch.delivery_id for launch in world.launcher.deliveries]
    for batch in world.launcher.batches:
        launched += [delivery_id for delivery_id, _ in attempts.attempts_of_batch(world.context, batch.key)]
    assert sorted(map(str, launched)) == sorted(map(str, ids))
    assert len(live_attempts(world)) == 60
    world.catalog.close()


def test_of_many_that_begin_at_once_one_holds_the_delivery(world: World) -> None:
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


def test_two_deliveries_of_one_new_digest_at_once_are_published_once(world: World) -> None:
    world.platform()
    digest = world.images.image(tag="v1")
    ids = [world.announce(git_sha=str(number), oci_digest=digest) for number in range(6)]
    gate = threading.Barrier(6)

    def process(delivery_id: UUID) -> str:
        gate.wait()
        return world.process(delivery_id)

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(process, ids))
    assert set(outcomes) <= {"published", "nothing to do", "postponed"}
    assert outcomes.count("published") == 1
    messages = [world.delivery(one).error_message for one in ids]
    assert not [message for message in messages if message and "internal error" in message]
    for delivery_id, outcome in zip(ids, outcomes, strict=True):
        if outcome == "postponed":
            assert world.process(delivery_id) == "nothing to do"
    assert len(world.events("published")) == 1
    assert {world.delivery(one).status for one in ids} == {"done"}
