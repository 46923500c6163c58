"""Calls that a flow carries out: one at a time for what they claim, resumed when a run died, told once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from bootpress.core import errors
from bootpress.core.context import MAX_WAITING
from bootpress.core.errors import (
    BootpressError,
    Conflict,
    ForgeRefused,
    OrchestratorUnavailable,
    RateLimited,
    Superseded,
)
from bootpress.core.ports import JobKind
from bootpress.core.sagas import caller, error_codec, store
from bootpress.core.sagas.models import Saga
from bootpress.core.sagas.states import SagaKind, SagaStatus
from bootpress.core.sagas.store import SagaLease
from tests.support.core_harness import CoreHarness
from tests.support.fakes import Launch

SECRET = "registers-a-runner-0123456789"


def call(world: CoreHarness, *claims: str) -> dict[str, Any]:
    return caller.run_saga(
        world.context,
        world.caller,
        SagaKind.BOOTSTRAP,
        request={"label": "edge"},
        claims=claims or ["the label edge"],
        run_name="bootstrap edge",
    )


def runs(world: CoreHarness, do: Callable[[SagaLease], None]) -> None:
    """Let runs begin, and do this."""

    def run(launch: Launch) -> None:
        hold = SagaLease(launch.subject, launch.run_id)
        store.begin(world.context, hold)
        do(hold)

    world.launcher.runs[JobKind.BOOTSTRAP] = run


def finish(world: CoreHarness, hold: SagaLease) -> None:
    with store.step_transaction(world.context, hold) as record:
        record.record_result("token", {"asked": True})
        record.store_secret_result(ci_worker_token=SECRET)
    with store.step_transaction(world.context, hold) as record:
        record.complete({"ok": True})


def row(world: CoreHarness) -> Saga:
    with world.catalog.read_session() as session:
        return session.scalars(select(Saga).order_by(Saga.created_at.desc())).one()


def impatient(world: CoreHarness, seconds: float = 0.3) -> None:
    world.context = replace(world.context, limits=replace(world.context.limits, saga_seconds=seconds))


def test_an_answer_is_sealed_told_once_and_deleted(world: CoreHarness) -> None:
    seen: list[bytes | None] = []

    def do(hold: SagaLease) -> None:
        finish(world, hold)
        seen.append(row(world).encrypted_result)

    runs(world, do)
    assert call(world) == {"ok": True, "ci_worker_token": SECRET}
    assert seen[0] is not None
    assert SECRET.encode() not in seen[0]
    assert (row(world).status, row(world).encrypted_result, row(world).step_results) == (
        "done",
        None,
        {"token": {"asked": True}},
    )


def test_what_a_run_fails_with_is_raised_to_the_caller(world: CoreHarness) -> None:
    def do(hold: SagaLease) -> None:
        with store.step_transaction(world.context, hold) as record:
            record.store_secret_result(ci_worker_token=SECRET)
        store.fail(world.context, hold.saga_id, ForgeRefused("no such owner", hint="make it"), hold=hold)

    runs(world, do)
    with pytest.raises(ForgeRefused, match="no such owner") as caught:
        call(world)
    assert caught.value.hint == "make it"
    assert (row(world).status, row(world).encrypted_result) == ("failed", None)


def test_a_launch_that_fails_leaves_nothing_that_is_in_the_way(world: CoreHarness) -> None:
    with world.launcher.switched_off(), pytest.raises(OrchestratorUnavailable):
        call(world)
    assert row(world).status == "failed"
    runs(world, lambda hold: finish(world, hold))
    with pytest.raises(Conflict, match="not read in time"):
        caller._collect(world.context, uuid_of_done(world))


def uuid_of_done(world: CoreHarness) -> Any:
    call(world)
    with world.catalog.read_session() as session:
        return session.scalars(select(Saga.id).where(Saga.status == "done")).one()


def test_what_nobody_takes_up_is_taken_back_so_that_no_late_run_does_it(world: CoreHarness) -> None:
    impatient(world)
    with pytest.raises(OrchestratorUnavailable, match="no worker took up bootstrap edge"):
        call(world)
    [launch] = world.launcher.of(JobKind.BOOTSTRAP)
    with pytest.raises(Superseded, match="is failed"):
        store.begin(world.context, SagaLease(launch.subject, launch.run_id))


def test_what_is_still_running_at_the_end_of_patience_goes_on_and_is_in_the_way(world: CoreHarness) -> None:
    impatient(world)
    holds: list[SagaLease] = []
    runs(world, holds.append)
    with pytest.raises(OrchestratorUnavailable, match="is still running") as caught:
        call(world)
    assert caught.value.retry_after
    with pytest.raises(Conflict, match="works on the label edge right now"):
        call(world)
    finish(world, holds[0])
    assert row(world).status == "done"


def test_an_answer_that_nobody_reads_is_deleted_after_ten_minutes(world: CoreHarness) -> None:
    impatient(world)
    holds: list[SagaLease] = []
    runs(world, holds.append)
    with pytest.raises(OrchestratorUnavailable):
        call(world)
    finish(world, holds[0])
    world.clock.advance(minutes=9)
    assert store.delete_expired_answers(world.context) == 0
    world.clock.advance(minutes=1)
    assert store.delete_expired_answers(world.context) == 1
    assert row(world).encrypted_result is None
    assert store.delete_expired_answers(world.context) == 0


def test_a_saga_is_kept_for_thirty_days_after_its_end(world: CoreHarness) -> None:
    runs(world, lambda hold: finish(world, hold))
    call(world)
    world.clock.advance(days=29)
    store.delete_old_sagas(world.context)
    assert row(world).status == SagaStatus.DONE
    world.clock.advance(days=2)
    store.delete_old_sagas(world.context)
    with world.catalog.read_session() as session:
        assert session.scalars(select(Saga)).all() == []


def test_a_run_that_died_is_followed_by_one_that_goes_on_from_what_is_recorded(world: CoreHarness) -> None:
    seen: list[dict[str, Any]] = []
    holds: list[SagaLease] = []

    def do(hold: SagaLease) -> None:
        holds.append(hold)
        seen.append(store.read(world.context, hold).step_results)
        if len(holds) == 1:
            with store.step_transaction(world.context, hold) as record:
                record.record_result("repository", {"created": True})
            world.clock.advance(seconds=31)  # dead
        else:
            finish(world, hold)

    runs(world, do)
    assert call(world)["ok"] is True
    assert seen == [{}, {"repository": {"created": True}}]
    with pytest.raises(Superseded), store.step_transaction(world.context, holds[0]):
        raise AssertionError("the dead run may record")


def test_one_that_nobody_waits_for_any_more_is_in_the_way_until_its_lease_is_over(world: CoreHarness) -> None:
    impatient(world)
    holds: list[SagaLease] = []
    runs(world, holds.append)
    with pytest.raises(OrchestratorUnavailable):
        call(world)
    store.renew(world.context, holds[0])
    world.clock.advance(seconds=31)
    runs(world, lambda hold: finish(world, hold))
    assert call(world)["ok"] is True
    with pytest.raises(Superseded):
        store.read(world.context, holds[0])


def test_of_many_at_once_with_one_claim_one_is_carried_out_and_the_others_are_told(world: CoreHarness) -> None:
    started, go = threading.Event(), threading.Event()

    def do(hold: SagaLease) -> None:
        started.set()
        assert go.wait(10)
        finish(world, hold)

    runs(world, do)
    outcomes: list[Any] = []

    def one() -> None:
        try:
            outcomes.append(call(world, "the label edge", f"the repository {uuid4()}"))
        except BootpressError as error:
            outcomes.append(error)
            go.set()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [type(one) for one in sorted(outcomes, key=lambda one: isinstance(one, dict))] == [caller.ResourceBusy, dict]


def test_what_looks_around_first_waits_for_who_has_a_claim_and_is_told_in_the_end(world: CoreHarness) -> None:
    impatient(world)
    holds: list[SagaLease] = []
    runs(world, holds.append)
    with pytest.raises(OrchestratorUnavailable):
        call(world)

    def look_and_call() -> dict[str, Any]:
        runs(world, lambda hold: finish(world, hold))
        return call(world)

    with pytest.raises(caller.ResourceBusy):
        caller.wait_and_retry_when_busy(world.context, world.account_id, ["the label edge"], look_and_call)
    impatient(world, seconds=10)
    ending = threading.Timer(0.2, finish, [world, holds[0]])
    ending.start()
    assert (
        caller.wait_and_retry_when_busy(world.context, world.account_id, ["the label edge"], look_and_call)["ok"]
        is True
    )
    ending.join()


def test_no_more_wait_at_once_than_leave_room_for_others(world: CoreHarness) -> None:
    runs(world, lambda hold: finish(world, hold))
    with ExitStack() as waiting:
        for _ in range(MAX_WAITING):
            assert world.context.callers_waiting.acquire(blocking=False)
            waiting.callback(world.context.callers_waiting.release)
        with pytest.raises(RateLimited):
            call(world)
        with pytest.raises(RateLimited):
            caller.wait_and_retry_when_busy(world.context, world.account_id, ["the label edge"], lambda: None)
    assert call(world)["ok"] is True
    assert call(world)["ok"] is True


def test_sagas_of_different_claims_or_accounts_are_in_nobodys_way(world: CoreHarness) -> None:
    impatient(world)
    runs(world, lambda _: None)
    with pytest.raises(OrchestratorUnavailable):
        call(world)
    runs(world, lambda hold: finish(world, hold))
    assert call(world, "the label other")["ok"] is True
    world.caller = world.new_caller("rival")
    assert call(world)["ok"] is True


@pytest.mark.parametrize(
    "error",
    [
        errors.ForgeRefused("no", hint="ask"),
        errors.ForgeUnavailable("away", retry_after=3),
        errors.InvalidInput("bad", field="repo"),
        errors.RateLimited("slow", retry_after=2),
        errors.Unsupported("never"),
        errors.Conflict("held"),
    ],
)
def test_an_error_comes_back_as_it_went(error: BootpressError) -> None:
    revived = error_codec.deserialize_error(error_codec.serialize_error(error))
    assert type(revived) is type(error)
    assert vars(revived) == vars(error)


def test_the_words_of_an_error_that_is_not_ours_are_left_out() -> None:
    revived = error_codec.deserialize_error(error_codec.serialize_error(ValueError(f"could not read {SECRET}")))
    assert SECRET not in str(revived)
    assert "ValueError" in str(revived)
    assert isinstance(
        error_codec.deserialize_error(error_codec.serialize_error(KeyboardInterrupt())), OrchestratorUnavailable
    )
    assert type(error_codec.deserialize_error({"class": "annotations"})) is BootpressError
