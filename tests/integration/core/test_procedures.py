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
from bootpress.core.ports import Work
from bootpress.core.workers import calling, procedures, reviving
from bootpress.core.workers.models import Procedure
from bootpress.core.workers.procedures import Hold
from bootpress.core.workers.states import ProcedureKind, ProcedureStatus
from tests.support.core_world import World
from tests.support.fakes import Launch

SECRET = "registers-a-runner-0123456789"


def call(world: World, *claims: str) -> dict[str, Any]:
    return calling.call(
        world.context,
        world.caller,
        ProcedureKind.BOOTSTRAP,
        request={"label": "edge"},
        claims=claims or ["the label edge"],
        run_name="bootstrap edge",
    )


def runs(world: World, do: Callable[[Hold], None]) -> None:
    """Let runs begin, and do this."""

    def run(launch: Launch) -> None:
        hold = Hold(launch.subject, launch.run_id)
        procedures.begin(world.context, hold)
        do(hold)

    world.launcher.runs[Work.BOOTSTRAP] = run


def finish(world: World, hold: Hold) -> None:
    with procedures.recording(world.context, hold) as record:
        record.note("token", {"asked": True})
        record.keep(ci_worker_token=SECRET)
    with procedures.recording(world.context, hold) as record:
        record.finish({"ok": True})


def row(world: World) -> Procedure:
    with world.catalog.reading() as session:
        return session.scalars(select(Procedure).order_by(Procedure.created_at.desc())).one()


def impatient(world: World, seconds: float = 0.3) -> None:
    world.context = replace(world.context, limits=replace(world.context.limits, procedure_seconds=seconds))


def test_an_answer_is_sealed_told_once_and_deleted(world: World) -> None:
    seen: list[bytes | None] = []

    def do(hold: Hold) -> None:
        finish(world, hold)
        seen.append(row(world).answer)

    runs(world, do)
    assert call(world) == {"ok": True, "ci_worker_token": SECRET}
    assert seen[0] is not None
    assert SECRET.encode() not in seen[0]
    assert (row(world).status, row(world).answer, row(world).effects) == ("done", None, {"token": {"asked": True}})


def test_what_a_run_fails_with_is_raised_to_the_caller(world: World) -> None:
    def do(hold: Hold) -> None:
        with procedures.recording(world.context, hold) as record:
            record.keep(ci_worker_token=SECRET)
        procedures.fail(world.context, hold.procedure_id, ForgeRefused("no such owner", hint="make it"), hold=hold)

    runs(world, do)
    with pytest.raises(ForgeRefused, match="no such owner") as caught:
        call(world)
    assert caught.value.hint == "make it"
    assert (row(world).status, row(world).answer) == ("failed", None)


def test_a_launch_that_fails_leaves_nothing_that_is_in_the_way(world: World) -> None:
    with world.launcher.switched_off(), pytest.raises(OrchestratorUnavailable):
        call(world)
    assert row(world).status == "failed"
    runs(world, lambda hold: finish(world, hold))
    with pytest.raises(Conflict, match="not read in time"):
        calling._collect(world.context, uuid_of_done(world))


def uuid_of_done(world: World) -> Any:
    call(world)
    with world.catalog.reading() as session:
        return session.scalars(select(Procedure.id).where(Procedure.status == "done")).one()


def test_what_nobody_takes_up_is_taken_back_so_that_no_late_run_does_it(world: World) -> None:
    impatient(world)
    with pytest.raises(OrchestratorUnavailable, match="no worker took up bootstrap edge"):
        call(world)
    [launch] = world.launcher.of(Work.BOOTSTRAP)
    with pytest.raises(Superseded, match="is failed"):
        procedures.begin(world.context, Hold(launch.subject, launch.run_id))


def test_what_is_still_running_at_the_end_of_patience_goes_on_and_is_in_the_way(world: World) -> None:
    impatient(world)
    holds: list[Hold] = []
    runs(world, holds.append)
    with pytest.raises(OrchestratorUnavailable, match="is still running") as caught:
        call(world)
    assert caught.value.retry_after
    with pytest.raises(Conflict, match="works on the label edge right now"):
        call(world)
    finish(world, holds[0])
    assert row(world).status == "done"


def test_an_answer_that_nobody_reads_is_deleted_after_ten_minutes(world: World) -> None:
    impatient(world)
    holds: list[Hold] = []
    runs(world, holds.append)
    with pytest.raises(OrchestratorUnavailable):
        call(world)
    finish(world, holds[0])
    world.clock.advance(minutes=9)
    assert procedures.forget_answers(world.context) == 0
    world.clock.advance(minutes=1)
    assert procedures.forget_answers(world.context) == 1
    assert row(world).answer is None
    assert procedures.forget_answers(world.context) == 0


def test_a_procedure_is_kept_for_thirty_days_after_its_end(world: World) -> None:
    runs(world, lambda hold: finish(world, hold))
    call(world)
    world.clock.advance(days=29)
    procedures.forget_old(world.context)
    assert row(world).status == ProcedureStatus.DONE
    world.clock.advance(days=2)
    procedures.forget_old(world.context)
    with world.catalog.reading() as session:
        assert session.scalars(select(Procedure)).all() == []


def test_a_run_that_died_is_followed_by_one_that_goes_on_from_what_is_recorded(world: World) -> None:
    seen: list[dict[str, Any]] = []
    holds: list[Hold] = []

    def do(hold: Hold) -> None:
        holds.append(hold)
        seen.append(procedures.read(world.context, hold).effects)
        if len(holds) == 1:
            with procedures.recording(world.context, hold) as record:
                record.note("repository", {"created": True})
            world.clock.advance(seconds=31)  # dead
        else:
            finish(world, hold)

    runs(world, do)
    assert call(world)["ok"] is True
    assert seen == [{}, {"repository": {"created": True}}]
    with pytest.raises(Superseded), procedures.recording(world.context, holds[0]):
        raise AssertionError("the dead run may record")


def test_one_that_nobody_waits_for_any_more_is_in_the_way_until_its_lease_is_over(world: World) -> None:
    impatient(world)
    holds: list[Hold] = []
    runs(world, holds.append)
    with pytest.raises(OrchestratorUnavailable):
        call(world)
    procedures.renew(world.context, holds[0])
    world.clock.advance(seconds=31)
    runs(world, lambda hold: finish(world, hold))
    assert call(world)["ok"] is True
    with pytest.raises(Superseded):
        procedures.read(world.context, holds[0])


def test_of_many_at_once_with_one_claim_one_is_carried_out_and_the_others_are_told(world: World) -> None:
    started, go = threading.Event(), threading.Event()

    def do(hold: Hold) -> None:
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
    assert [type(one) for one in sorted(outcomes, key=lambda one: isinstance(one, dict))] == [calling.Claimed, dict]


def test_what_looks_around_first_waits_for_who_has_a_claim_and_is_told_in_the_end(world: World) -> None:
    impatient(world)
    holds: list[Hold] = []
    runs(world, holds.append)
    with pytest.raises(OrchestratorUnavailable):
        call(world)

    def look_and_call() -> dict[str, Any]:
        runs(world, lambda hold: finish(world, hold))
        return call(world)

    with pytest.raises(calling.Claimed):
        calling.once_free(world.context, world.account_id, ["the label edge"], look_and_call)
    impatient(world, seconds=10)
    ending = threading.Timer(0.2, finish, [world, holds[0]])
    ending.start()
    assert calling.once_free(world.context, world.account_id, ["the label edge"], look_and_call)["ok"] is True
    ending.join()


def test_no_more_wait_at_once_than_leave_room_for_others(world: World) -> None:
    runs(world, lambda hold: finish(world, hold))
    with ExitStack() as waiting:
        for _ in range(MAX_WAITING):
            assert world.context.callers_waiting.acquire(blocking=False)
            waiting.callback(world.context.callers_waiting.release)
        with pytest.raises(RateLimited):
            call(world)
        with pytest.raises(RateLimited):
            calling.once_free(world.context, world.account_id, ["the label edge"], lambda: None)
    assert call(world)["ok"] is True
    assert call(world)["ok"] is True


def test_procedures_of_different_claims_or_accounts_are_in_nobodys_way(world: World) -> None:
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
    revived = reviving.revive(reviving.describe(error))
    assert type(revived) is type(error)
    assert vars(revived) == vars(error)


def test_the_words_of_an_error_that_is_not_ours_are_left_out() -> None:
    revived = reviving.revive(reviving.describe(ValueError(f"could not read {SECRET}")))
    assert SECRET not in str(revived)
    assert "ValueError" in str(revived)
    assert isinstance(reviving.revive(reviving.describe(KeyboardInterrupt())), OrchestratorUnavailable)
    assert type(reviving.revive({"class": "annotations"})) is BootpressError
