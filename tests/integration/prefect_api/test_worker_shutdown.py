"""How a worker ends, and what the next one of its name finds and puts right."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.flow_runs import FlowRuns
from bootpress.adapters.prefect_api.pool_cleanup import fail_lost_runs
from tests.support.prefect_server import PrefectServer
from tests.support.prefect_worker import resident_worker, start, state, wait_for_state, words
from tests.support.processes import Program, wait_for


@pytest.fixture
def worker(server: PrefectServer, pool: str, tmp_path: Path) -> Iterator[Program]:
    with resident_worker(server, tmp_path / "worker.log", pool=pool, name=pool, grace_seconds=2) as running:
        yield running


def run_of_another_worker(api: PrefectApi, pool: str) -> UUID:
    """Make a run that looks as if a worker elsewhere executed it."""
    run_id = start(api, f"hello/{pool}", path="unused")
    api.patch(f"/flow_runs/{run_id}", {"infrastructure_pid": "elsewhere:1"})
    for kind in ("PENDING", "RUNNING"):
        api.post(f"/flow_runs/{run_id}/set_state", {"state": {"type": kind}, "force": True})
    return run_id


def test_the_next_worker_crashes_the_runs_of_a_killed_one_and_no_others(
    api: PrefectApi, server: PrefectServer, pool: str, tmp_path: Path
) -> None:
    others = run_of_another_worker(api, pool)
    lines = tmp_path / "lines"
    with resident_worker(server, tmp_path / "first.log", pool=pool, name=pool) as first:
        cancelled = start(api, f"sleeping/{pool}", path=str(lines), seconds=60)
        running = start(api, f"sleeping/{pool}", path=str(lines), seconds=60)
        wait_for(lambda: words(lines) == ["asleep", "asleep"], what="both runs are under way")
        first.kill()
    api.post(f"/flow_runs/{cancelled}/set_state", {"state": {"type": "CANCELLING"}})
    assert state(api, running)["type"] == "RUNNING"

    with resident_worker(server, tmp_path / "second.log", pool=pool, name=pool):
        pass

    assert f"The worker {pool} died" in wait_for_state(api, running, "Crashed")["message"]
    wait_for_state(api, cancelled, "Cancelled")
    assert state(api, others)["type"] == "RUNNING"


def test_an_idle_worker_leaves_at_once(worker: Program) -> None:
    worker.send(signal.SIGTERM)

    assert worker.wait(4) == 0


def test_a_worker_that_is_asked_to_stop_lets_a_short_run_end(
    api: PrefectApi, worker: Program, pool: str, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    run_id = start(api, f"sleeping/{pool}", path=str(lines), seconds=1)
    wait_for(lambda: words(lines) == ["asleep"], what="the run is under way")

    worker.send(signal.SIGTERM)

    assert worker.wait(6) == 0
    assert state(api, run_id)["name"] == "Completed"


def test_a_worker_that_is_asked_to_stop_crashes_what_does_not_end_and_leaves(
    api: PrefectApi, worker: Program, pool: str, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    run_id = start(api, f"sleeping/{pool}", path=str(lines), seconds=60)
    wait_for(lambda: words(lines) == ["asleep"], what="the run is under way")
    later = start(api, f"hello/{pool}", path=str(tmp_path / "never"))
    wait_for_state(api, later, "Completed")

    began = time.monotonic()
    worker.send(signal.SIGTERM)
    time.sleep(0.5)
    refused = start(api, f"hello/{pool}", path=str(tmp_path / "refused"))

    assert worker.wait(7) == 0
    assert time.monotonic() - began > 1.5  # its grace
    assert "was stopped before" in state(api, run_id)["message"]
    assert state(api, run_id)["name"] == "Crashed"
    assert state(api, refused)["type"] == "SCHEDULED"


def test_of_the_runs_that_a_schedule_made_while_no_worker_was_up_only_the_newest_is_run(
    api: PrefectApi, server: PrefectServer, pool: str, tmp_path: Path
) -> None:
    deployment = api.get(f"/deployments/name/ticking/every-minute-{pool}")["id"]
    by_schedule = {"deployment_id": {"any_": [deployment]}}

    def made() -> list[str]:
        return [run["id"] for run in api.post("/flow_runs/filter", {"flow_runs": by_schedule})]

    wait_for(lambda: len(made()) > 2, what="the scheduler has made runs")
    late = made()  # all of them: one that came due by itself meanwhile would be the newest
    make_late(api, server, late)
    ours = [start(api, f"hello/{pool}", path=str(tmp_path / str(number))) for number in range(2)]

    with resident_worker(server, tmp_path / "worker.log", pool=pool, name=pool):
        for run_id in ours:
            wait_for_state(api, run_id, "Completed")
        wait_for(lambda: state(api, UUID(late[-1]))["name"] == "Completed", what="the newest late run is done")

    assert [state(api, UUID(one))["name"] for one in late] == ["Cancelled"] * (len(late) - 1) + ["Completed"]


def make_late(api: PrefectApi, server: PrefectServer, run_ids: list[str]) -> None:
    """Move runs into the past, the last one to a minute ago, the others a minute apart before it."""
    for age, run_id in enumerate(reversed(run_ids), start=1):
        past = datetime.now(UTC) - timedelta(minutes=age)
        scheduled = {"type": "SCHEDULED", "state_details": {"scheduled_time": past.isoformat()}}
        api.post(f"/flow_runs/{run_id}/set_state", {"state": scheduled, "force": True})
        # No call of the API moves this one, and waiting for it takes minutes.
        with sqlite3.connect(server.home / "prefect" / "prefect.db", timeout=30) as database:
            database.execute(
                "UPDATE flow_run SET expected_start_time = ? WHERE id = ?",
                (past.strftime("%Y-%m-%d %H:%M:%S.%f"), run_id),
            )


def test_a_run_that_a_worker_took_and_never_began_is_crashed_after_a_minute(api: PrefectApi, pool: str) -> None:
    lost = start(api, f"hello/{pool}", path="unused")
    ours = start(api, f"hello/{pool}", path="unused")
    for run_id in (lost, ours):
        api.post(f"/flow_runs/{run_id}/set_state", {"state": {"type": "PENDING"}})
    now = datetime.now(UTC)

    assert fail_lost_runs(FlowRuns(api), pool, "a-worker", now, {ours}) == 0
    assert fail_lost_runs(FlowRuns(api), pool, "a-worker", now + timedelta(minutes=2), {ours}) == 1

    assert state(api, lost)["name"] == "Crashed"
    assert state(api, ours)["type"] == "PENDING"
