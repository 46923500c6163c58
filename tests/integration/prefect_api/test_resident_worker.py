"""The resident worker on a real Prefect server: what becomes of a run, however it goes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bootpress.adapters.prefect_api.api import PrefectApi
from tests.support.prefect_worker import WORKER_LIMIT, start, state, wait_for_state, words
from tests.support.processes import Program, wait_for

pytestmark = pytest.mark.usefixtures("worker")


def logs(api: PrefectApi, run_id: object) -> list[dict[str, Any]]:
    body = {"logs": {"flow_run_id": {"any_": [str(run_id)]}}, "sort": "TIMESTAMP_ASC"}
    found: list[dict[str, Any]] = api.post("/logs/filter", body)
    return found


def test_a_run_completes_in_the_worker_process(api: PrefectApi, worker: Program, tmp_path: Path) -> None:
    run_id = start(api, "hello/sample", path=str(tmp_path / "lines"))

    wait_for_state(api, run_id, "Completed")

    assert words(tmp_path / "lines") == ["hello"]
    run = api.get(f"/flow_runs/{run_id}")
    assert run["infrastructure_pid"] == f"sample-worker:{worker.pid}"
    expected = f"hello from {worker.pid}"
    wait_for(lambda: expected in [line["message"] for line in logs(api, run_id)], what="the log has arrived")


def test_a_flow_that_raises_is_failed(api: PrefectApi) -> None:
    run_id = start(api, "failing/sample")

    assert "fails on purpose" in wait_for_state(api, run_id, "Failed")["message"]


def test_a_flow_that_leaves_the_interpreter_is_crashed_and_the_worker_goes_on(api: PrefectApi, tmp_path: Path) -> None:
    run_id = start(api, "leaving/sample")

    wait_for_state(api, run_id, "Crashed")

    wait_for_state(api, start(api, "hello/sample", path=str(tmp_path / "lines")), "Completed")


def test_a_suspended_run_goes_on_where_it_was_resumed(api: PrefectApi, tmp_path: Path) -> None:
    run_id = start(api, "waiting/sample", path=str(tmp_path / "lines"))
    wait_for_state(api, run_id, "Suspended")
    assert words(tmp_path / "lines") == ["before"]

    api.post(f"/flow_runs/{run_id}/resume", {})

    wait_for_state(api, run_id, "Completed")
    assert words(tmp_path / "lines")[-1] == "after"


def test_a_run_that_is_resumed_at_once_waits_for_its_old_thread(api: PrefectApi, tmp_path: Path) -> None:
    run_ids = [start(api, "waiting/sample", path=str(tmp_path / str(number))) for number in range(3)]

    for run_id in run_ids:
        wait_for_state(api, run_id, "Suspended")
        api.post(f"/flow_runs/{run_id}/resume", {})

    for run_id in run_ids:
        wait_for_state(api, run_id, "Completed")


def test_a_cancelled_run_ends_at_its_next_task(api: PrefectApi, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    run_id = start(api, "steps/sample", path=str(lines))
    wait_for(lambda: "step-1" in words(lines), what="the run is under way")

    api.post(f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLING"}})

    wait_for_state(api, run_id, "Cancelled", seconds=10)
    done = words(lines)
    assert "step-99" not in done
    time.sleep(1)
    assert words(lines) == done
    assert state(api, run_id)["name"] == "Cancelled"


def test_a_run_that_is_suspended_from_outside_ends_at_its_next_task(api: PrefectApi, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    run_id = start(api, "steps/sample", path=str(lines))
    wait_for(lambda: "step-1" in words(lines), what="the run is under way")

    suspended = {"type": "PAUSED", "name": "Suspended", "state_details": {"pause_reschedule": True}}
    api.post(f"/flow_runs/{run_id}/set_state", {"state": suspended})

    time.sleep(3)
    done = words(lines)
    time.sleep(1)
    assert words(lines) == done
    assert state(api, run_id)["name"] == "Suspended"
    api.post(f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLED"}, "force": True})


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [
        ("tests.support.sample_flows.nowhere", "AttributeError"),
        ("tests.support.no_such_module.hello", "ModuleNotFoundError"),
        ("tests.support.sample_flows.not_a_flow", "is a int, not a flow"),
        ("tests/support/sample_flows.py:hello", "loads flows by module path"),
    ],
)
def test_a_flow_that_cannot_be_loaded_is_crashed_and_says_why(api: PrefectApi, entrypoint: str, message: str) -> None:
    flow_id = api.post("/flows/", {"name": "unloadable"})["id"]
    body = {"name": "sample", "flow_id": flow_id, "work_pool_name": "sample", "entrypoint": entrypoint}
    api.post("/deployments/", body)

    run_id = start(api, "unloadable/sample")

    assert message in wait_for_state(api, run_id, "Crashed")["message"]


def test_no_more_runs_than_the_limit_are_under_way(api: PrefectApi, tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    run_ids = [start(api, "sleeping/sample", path=str(lines), seconds=2) for _ in range(WORKER_LIMIT + 2)]

    for run_id in run_ids:
        wait_for_state(api, run_id, "Completed", seconds=60)

    now = most = 0
    for word in words(lines):
        now += 1 if word == "asleep" else -1
        most = max(most, now)
    assert 1 < most <= WORKER_LIMIT
