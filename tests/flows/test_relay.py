"""The flow of every minute, while a forge is away: deliveries and events come first, and the run is no failure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import text

from blocks.forges import GiteaForge
from bootpress.core.breakers.models import CircuitBreaker
from bootpress.core.deliveries.models import Delivery
from bootpress.core.ports import ForgeConnection, ForgeKind
from bootpress.core.references import canonical_host
from bootpress.wiring import get_context
from flows.relay import relay
from tests.flows.conftest import FlowHarness
from tests.support.build_harness import BuildHarness
from tests.support.fakes import RealClock
from tests.support.ports import free_port


def test_a_forge_that_is_away_holds_up_neither_deliveries_nor_events(stage: FlowHarness) -> None:
    stage.yard.context = replace(stage.yard.context, clock=RealClock())
    foundry = BuildHarness(stage.yard)
    build_id = foundry.dispatch()["build_id"]
    away = ForgeConnection("default", ForgeKind.GITEA, f"http://127.0.0.1:{free_port()}", "t0ken")
    GiteaForge.register_type_and_schema()
    get_context().connections.save_forge(stage.yard.account_id, away)

    state = relay(return_state=True)

    assert state.name == "Completed"
    tasks = sorted(
        stage.api.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [stage.run_of(state)["id"]]}}}),
        key=lambda task: str(task["start_time"]),
    )
    assert [task["name"].rpartition("-")[0] for task in tasks][-1] == "tend builds"
    assert {task["state"]["name"] for task in tasks} == {"Completed"}
    build = foundry.build(build_id)
    assert build.status == "dispatched"
    assert build.last_polled_at is not None  # it was tried, and is behind the others in the next tick


def test_pruning_that_fails_holds_up_no_build(stage: FlowHarness) -> None:
    stage.yard.context = replace(stage.yard.context, clock=RealClock())
    foundry = BuildHarness(stage.yard)
    build_id = foundry.dispatch()["build_id"]
    away = ForgeConnection("default", ForgeKind.GITEA, f"http://127.0.0.1:{free_port()}", "t0ken")
    GiteaForge.register_type_and_schema()
    get_context().connections.save_forge(stage.yard.account_id, away)
    with stage.yard.catalog.transaction() as session:
        session.execute(text("DROP TABLE pruning_clock"))

    state = relay(return_state=True)

    assert state.name == "Failed"
    assert foundry.build(build_id).last_polled_at is not None


def test_history_is_pruned_by_the_tick(stage: FlowHarness) -> None:
    delivery_id = stage.yard.announce(slug="nobody")
    assert stage.yard.process(delivery_id) == "failed"

    state = relay(return_state=True)  # a year after what the operator did

    assert state.name == "Completed"
    with stage.yard.catalog.read_session() as session:
        assert session.get(Delivery, delivery_id) is None


def test_what_waits_for_a_day_at_a_host_that_fails_is_failed_by_the_tick(stage: FlowHarness) -> None:
    yard = stage.yard
    delivery_id = yard.announce()  # a year ago
    host, now = stage.repository.partition("/")[0], RealClock().now()
    row = CircuitBreaker(id=uuid4(), account_id=yard.account_id, host=canonical_host(host), failures=9, openings=6)
    row.reason, row.failing_since, row.failed_at = "timed out", now - timedelta(days=2), now
    with yard.catalog.transaction() as session:
        session.add(row)

    state = relay(return_state=True)

    assert state.name == "Completed"
    assert f"the registry {host} did not answer" in str(yard.delivery(delivery_id).error_message)
    assert yard.delivery(delivery_id).status == "failed"
