"""A batch in one run: what became of each delivery is in the run's log and report, without a task for each."""

from __future__ import annotations

from dataclasses import replace

from bootpress.core.context import Limits
from bootpress.core.deliveries import attempts
from flows.ingest_batch import backlog
from tests.flows.conftest import FlowHarness
from tests.support.fakes import RealClock


def test_a_batch_tells_what_became_of_each_delivery_without_a_task_for_each(stage: FlowHarness) -> None:
    world = stage.yard
    good = {world.announce(ref=f"{stage.repository}@{world.images.image()}") for _ in range(3)}
    bad = {world.announce(slug="edge", ref=f"elsewhere.example/os/images:v{number}") for number in range(2)}
    context = replace(world.context, clock=RealClock(), limits=Limits(launches_in_flight=1))
    attempts.launch_due(context)
    [batch] = world.launcher.batches

    state = backlog(batch.key, return_state=True)

    assert (state.name, state.message) == ("Completed", "3 published, 2 failed")
    assert {world.delivery(one).status for one in good} == {"done"}
    assert {world.delivery(one).status for one in bad} == {"failed"}
    run_id = stage.run_of(state)["id"]
    tasks = stage.api.post("/task_runs/filter", {"flow_runs": {"id": {"any_": [run_id]}}})
    assert sorted(task["name"].rpartition("-")[0] for task in tasks) == [
        "deliveries of the batch",
        "relay deliveries",
        "report",
    ]
    [report] = stage.reports_of(state)
    assert report.count("## `edge`") == len(good | bad)
