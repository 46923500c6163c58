"""Applying prefect.yaml: ours and Prefect's own command make the same deployments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.deployments import deploy
from tests.support.prefect_server import PrefectServer
from tests.support.prefect_worker import PROJECT, ROOT
from tests.support.processes import wait_for

NAMES = [
    "ingest-publication/webhook",
    "ingest-publication/manual",
    "ingest-backlog/relay",
    "build-disk-image/dispatched",
    "relay-deliveries/every-minute",
    "sweep-retention/daily",
    "bootstrap-disk-image-ci/operation",
    "provision-ci-worker/operation",
    "terminate-ci-worker/operation",
]

SAME = (
    "name",
    "entrypoint",
    "description",
    "tags",
    "parameters",
    "parameter_openapi_schema",
    "enforce_parameter_schema",
    "work_pool_name",
    "work_queue_name",
    "job_variables",
    "pull_steps",
    "path",
    "paused",
    "concurrency_limit",
)


def deployments(api: PrefectApi) -> dict[str, dict[str, Any]]:
    return {name: api.get(f"/deployments/name/{name}") for name in NAMES}


def schedules(deployment: dict[str, Any]) -> list[tuple[str, str, bool]]:
    return [(one["schedule"]["cron"], one["schedule"]["timezone"], one["active"]) for one in deployment["schedules"]]


def prefect_deploy(server: PrefectServer, file: Path) -> None:
    words = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    done = subprocess.run(
        words, env=server.environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_project_file_makes_its_deployments_pool_and_queues(api: PrefectApi, project: list[str]) -> None:
    assert project == NAMES
    assert api.get("/work_pools/bootpress")["type"] == "resident"
    assert api.get("/work_pools/bootpress/queues/upkeep")["concurrency_limit"] == 1
    found = deployments(api)
    assert schedules(found["relay-deliveries/every-minute"]) == [("* * * * *", "UTC", True)]
    assert schedules(found["sweep-retention/daily"]) == [("30 3 * * *", "UTC", True)]
    assert found["sweep-retention/daily"]["parameters"] == {"platform": None, "dry_run": False}
    assert all(found[name]["description"] for name in NAMES)


def test_prefects_own_command_makes_the_same(api: PrefectApi, server: PrefectServer, project: list[str]) -> None:
    ours = deployments(api)

    prefect_deploy(server, PROJECT)
    theirs = deployments(api)

    for name in project:
        assert {key: ours[name][key] for key in SAME} == {key: theirs[name][key] for key in SAME}
        assert schedules(ours[name]) == schedules(theirs[name])
    assert deploy(PROJECT, api) == project


def test_deploying_again_leaves_what_has_not_changed(api: PrefectApi, pool: str, tmp_path: Path) -> None:
    name = f"ticking/every-minute-{pool}"
    before = api.get(f"/deployments/name/{name}")
    api.patch(f"/deployments/{before['id']}", {"paused": True})

    deploy(tmp_path / "prefect.yaml", api)

    after = api.get(f"/deployments/name/{name}")
    assert after["id"] == before["id"]
    assert after["paused"] is True


def test_deploying_again_puts_back_what_lost_its_pool_and_leaves_its_schedules(
    api: PrefectApi, pool: str, tmp_path: Path
) -> None:
    name = f"ticking/every-minute-{pool}"
    before = api.get(f"/deployments/name/{name}")
    [schedule] = before["schedules"]
    api.patch(f"/deployments/{before['id']}/schedules/{schedule['id']}", {"active": False})
    api.delete(f"/work_pools/{pool}")
    assert api.get(f"/deployments/name/{name}")["work_pool_name"] is None

    deploy(tmp_path / "prefect.yaml", api)

    after = api.get(f"/deployments/name/{name}")
    assert {key: after[key] for key in ("id", "work_pool_name", "work_queue_name")} == {
        key: before[key] for key in ("id", "work_pool_name", "work_queue_name")
    }
    assert schedules(after) == [(cron, zone, False) for cron, zone, _ in schedules(before)]


def test_deploying_again_leaves_a_deployment_in_the_pool_that_its_operator_chose(
    api: PrefectApi, pool: str, tmp_path: Path
) -> None:
    name = f"ticking/every-minute-{pool}"
    other = f"{pool}-other"
    api.post("/work_pools/", {"name": other, "type": "process"})
    api.patch(f"/deployments/{api.get(f'/deployments/name/{name}')['id']}", {"work_pool_name": other})

    deploy(tmp_path / "prefect.yaml", api)

    assert api.get(f"/deployments/name/{name}")["work_pool_name"] == other


def test_deploying_a_change_applies_it(api: PrefectApi, pool: str, tmp_path: Path) -> None:
    file = tmp_path / "prefect.yaml"
    file.write_text(file.read_text().replace("Every minute, a run that does nothing", "Something else"))
    before = api.get(f"/deployments/name/ticking/every-minute-{pool}")

    deploy(file, api)

    after = api.get(f"/deployments/name/ticking/every-minute-{pool}")
    assert after["id"] == before["id"]
    assert after["description"] == "Something else"
    assert len(after["schedules"]) == 1


@pytest.mark.usefixtures("project")
def test_the_schedule_makes_runs(api: PrefectApi) -> None:
    deployment = deployments(api)["relay-deliveries/every-minute"]["id"]
    criteria = {"flow_runs": {"deployment_id": {"any_": [deployment]}}}

    wait_for(lambda: bool(api.post("/flow_runs/filter", criteria)), what="the scheduler has made a run")

    assert all(run["auto_scheduled"] for run in api.post("/flow_runs/filter", criteria))
