"""What is launched, in which order, and what becomes of a launch whose answer does not come."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select

from bootpress.core.context import Limits
from bootpress.core.deliveries import attempts, rules
from bootpress.core.deliveries.attempts import RelayReport
from bootpress.core.deliveries.models import Attempt
from bootpress.core.errors import OrchestratorUnavailable, Superseded
from bootpress.core.ports import JobKind
from bootpress.core.publications import ingest
from tests.support.attempts import LostAnswers, announce_many, begin_launched, find_attempt, live_attempts
from tests.support.core_harness import CoreHarness


def test_a_launch_names_the_run_by_platform_and_commit_and_its_key_is_the_attempt(world: CoreHarness) -> None:
    [delivery_id] = announce_many(world, 1)
    assert attempts.launch(world.context, delivery_id)
    [launch] = world.launcher.deliveries
    assert (launch.delivery_id, launch.run_name) == (delivery_id, "edge @ 000000000000")
    row = find_attempt(world, launch.key)
    assert (row.status, row.flow_run_id, row.delivery_id) == ("launching", launch.run_id, delivery_id)
    assert world.delivery(delivery_id).status == "received"
    assert not attempts.launch(world.context, delivery_id)
    assert len(world.launcher.deliveries) == 1


def test_no_more_single_runs_are_launched_than_may_be_in_flight(world: CoreHarness) -> None:
    ids = announce_many(world, 10)
    assert [attempts.launch(world.context, one) for one in ids] == [True] * 8 + [False] * 2


def test_few_deliveries_are_launched_one_by_one_and_the_rest_in_batches(world: CoreHarness) -> None:
    announce_many(world, 8)
    assert attempts.launch_due(world.context) == RelayReport(8, 0, 0)
    announce_many(world, 122, first=8)
    assert attempts.launch_due(world.context) == RelayReport(100, 2, 22)
    assert attempts.launch_due(world.context) == RelayReport(0, 0, 22)
    sizes = [len(attempts.attempts_of_batch(world.context, batch.key)) for batch in world.launcher.batches]
    assert sizes == [50, 50]
    assert {batch.run_name for batch in world.launcher.batches} == {"50 deliveries"}
    assert len(world.launcher.deliveries) == 8


def test_the_oldest_deliveries_go_first(catalog_url: str) -> None:
    world = CoreHarness(catalog_url, limits=Limits(launches_in_flight=1, batches_in_flight=1, batch_size=2))
    ids = []
    for number in range(4):
        ids.append(world.announce(git_sha=str(number)))
        world.clock.advance(seconds=1)
    assert attempts.launch_due(world.context) == RelayReport(2, 1, 2)
    [batch] = world.launcher.batches
    assert {delivery_id for delivery_id, _ in attempts.attempts_of_batch(world.context, batch.key)} == set(ids[:2])
    world.catalog.close()


def test_what_could_not_be_launched_is_taken_by_the_next_relay_at_once(world: CoreHarness) -> None:
    [delivery_id] = announce_many(world, 1)
    with world.launcher.switched_off():
        with pytest.raises(OrchestratorUnavailable):
            attempts.launch(world.context, delivery_id)
        with pytest.raises(OrchestratorUnavailable):
            attempts.launch_due(world.context)
        assert not attempts.launch_or_defer(world.context, delivery_id)
    assert live_attempts(world) == []
    assert attempts.launch_due(world.context).launched == 1
    [launch] = world.launcher.deliveries
    assert begin_launched(world, launch) == launch.key


def test_a_batch_that_could_not_be_launched_is_given_back_whole(world: CoreHarness) -> None:
    announce_many(world, 20)
    with world.launcher.switched_off(), pytest.raises(OrchestratorUnavailable):
        attempts.launch_due(world.context)
    assert live_attempts(world) == []
    assert attempts.launch_due(world.context) == RelayReport(20, 1, 0)


def test_a_run_that_was_started_although_its_launch_seemed_to_fail_may_work(world: CoreHarness) -> None:
    """The answer was lost, not the run: it takes the delivery up, unless the relay was quicker."""
    context = replace(world.context, launcher=(launcher := LostAnswers()))
    first, second = announce_many(world, 2)
    assert not attempts.launch_or_defer(context, first)
    assert not attempts.launch_or_defer(context, second)
    [one, other] = launcher.deliveries
    taken = begin_launched(world, one)
    assert taken == one.key  # whoever began it renews it by the id that it was launched for
    assert attempts.launch_due(world.context).launched == 1
    with pytest.raises(Superseded, match="held by another attempt"):
        begin_launched(world, other)


def test_an_attempt_of_a_batch_that_was_taken_back_while_it_began_is_renewed_with_its_batch(world: CoreHarness) -> None:
    ids = announce_many(world, 20)
    read: list[tuple[UUID, UUID]] = []

    class BeginsAtOnce(LostAnswers):
        def launch(self, work: JobKind, subject: UUID, *, key: UUID, run_name: str) -> UUID:
            read.extend(attempts.attempts_of_batch(world.context, subject))
            attempts.start(world.context, read[0][0], attempt_id=read[0][1], flow_run_id=None)
            return super().launch(work, subject, key=key, run_name=run_name)

    context = replace(world.context, launcher=BeginsAtOnce())
    with pytest.raises(OrchestratorUnavailable):
        attempts.launch_due(context)
    begun = [attempts.start(world.context, one, attempt_id=key, flow_run_id=None) for one, key in read[:5]]
    assert begun == [key for _, key in read[:5]]
    for _ in range(3):
        world.clock.advance(seconds=20)
        attempts.renew(world.context, [key for _, key in read])
    assert attempts.launch_due(world.context).launched == len(ids) - len(begun)


def test_an_attempt_that_was_taken_back_for_another_decides_nothing(world: CoreHarness) -> None:
    context = replace(world.context, launcher=(launcher := LostAnswers()))
    [delivery_id] = announce_many(world, 1)
    attempts.launch_or_defer(context, delivery_id)
    [lost] = launcher.deliveries
    attempts.launch_due(world.context)
    assert ingest.ingest_delivery(world.context, delivery_id, attempt_id=lost.key) == "superseded"
    assert world.delivery(delivery_id).status == "received"


def test_launches_that_failed_leave_no_trace(world: CoreHarness) -> None:
    ids = announce_many(world, 60)
    with world.launcher.switched_off():
        for _ in range(8):
            with pytest.raises(OrchestratorUnavailable):
                attempts.launch_due(world.context)
            world.clock.advance(seconds=8)
    with world.catalog.read_session() as session:
        assert session.scalar(select(func.count(Attempt.id))) == 0
    assert attempts.launch_due(world.context).launched == 60
    assert {row.lease_until - world.clock.now() for row in live_attempts(world)} == {rules.LEASE}
    assert {world.delivery(one).attempt_count for one in ids} == {0}


def test_launches_of_which_nothing_is_heard_are_repeated_ever_more_rarely(world: CoreHarness) -> None:
    announce_many(world, 1)
    gaps = []
    attempts.launch_due(world.context)
    for _ in range(7):
        waited = timedelta()
        while attempts.launch_due(world.context).launched == 0:
            waited += timedelta(seconds=15)
            world.clock.advance(seconds=15)
        gaps.append(waited.total_seconds())
    assert gaps == [30, 60, 120, 240, 480, 900, 900]
    assert max(gaps) == rules.LONGEST_LEASE.total_seconds()


def test_relays_at_once_never_give_one_delivery_twice(catalog_url: str) -> None:
    world = CoreHarness(catalog_url, limits=Limits(launches_in_flight=100, batches_in_flight=100, batch_size=7))
    ids = announce_many(world, 60)
    gate = threading.Barrier(6)

    def relay(_: int) -> RelayReport:
        gate.wait()
        return attempts.launch_due(world.context)

    with ThreadPoolExecutor(6) as pool:
        reports = list(pool.map(relay, range(6)))
    # Whoever met a row that another one had locked leaves it to the next relay.
    reports.append(attempts.launch_due(world.context))
    assert sum(report.launched for report in reports) == 60
    launched = [launch.delivery_id for launch in world.launcher.deliveries]
    for batch in world.launcher.batches:
        launched += [delivery_id for delivery_id, _ in attempts.attempts_of_batch(world.context, batch.key)]
    assert sorted(map(str, launched)) == sorted(map(str, ids))
    assert len(live_attempts(world)) == 60
    world.catalog.close()
