"""Apply prefect.yaml to a Prefect server: work pools, their queues, and deployments.

`prefect deploy --all` does the same for the deployments, in six seconds of its own process; this takes a fraction of
one where flows are imported anyway. A deployment that has not changed since is left alone, so that a schedule which an
operator paused stays paused over a restart.
"""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

import yaml
from prefect.utilities.callables import parameter_schema
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bootpress.adapters.prefect_api.api import PrefectApi, PrefectNotFound, PrefectRequestError
from bootpress.adapters.prefect_api.flow_runner import FlowCache
from bootpress.adapters.prefect_api.resident import ResidentWorker
from bootpress.core.errors import InvalidInput


class _Strict(BaseModel):
    """A key that we would pass over is refused: the file must mean the same to us as to Prefect."""

    model_config = ConfigDict(extra="forbid")


class Queue(_Strict):
    """A queue of a work pool."""

    description: str = ""
    concurrency_limit: int | None = None
    priority: int | None = None


class Pool(_Strict):
    """A work pool that is made if it is not there."""

    type: str
    description: str = ""
    queues: dict[str, Queue] = {}


class Definitions(_Strict):
    """The part of the file that Prefect leaves to its owner."""

    work_pools: dict[str, Pool] = {}


class WorkPool(_Strict):
    """Where a deployment's runs go."""

    name: str
    work_queue_name: str | None = None
    job_variables: dict[str, Any] = {}


class Schedule(_Strict):
    """When a deployment's runs are made."""

    cron: str
    timezone: str = "UTC"
    active: bool = True
    parameters: dict[str, Any] = {}


class Deployment(_Strict):
    """One deployment of the file."""

    name: str
    entrypoint: str
    description: str | None = None
    tags: list[str] = []
    parameters: dict[str, Any] = {}
    schedules: list[Schedule] = []
    work_pool: WorkPool


class PrefectFile(_Strict):
    """What we read of a prefect.yaml."""

    name: str
    prefect_version: Annotated[str | None, Field(alias="prefect-version")] = None
    definitions: Definitions = Definitions()
    build: None = None
    push: None = None
    pull: Annotated[list[Any], Field(max_length=0)] = []
    deployments: list[Deployment]


def deploy(prefect_file: Path, api: PrefectApi | None = None) -> list[str]:
    """Apply a file to Prefect, and return the full names of its deployments (`flow/deployment`).

    Raises InvalidInput for a file that says what this cannot apply, OrchestratorUnavailable while Prefect is away.
    """
    file = read_prefect_file(prefect_file)
    server = api or PrefectApi.from_environment()
    for name, pool in file.definitions.work_pools.items():
        _ensure_pool(server, name, pool)
    flows = FlowCache()
    return [_deploy_one(server, flows, deployment) for deployment in file.deployments]


def read_prefect_file(path: Path) -> PrefectFile:
    """Read and check a prefect.yaml."""
    try:
        return PrefectFile.model_validate(yaml.safe_load(path.read_text()))
    except (ValidationError, yaml.YAMLError) as error:
        raise InvalidInput(
            f"{path.name} cannot be applied: {error}", hint="`prefect deploy --all` understands more keys"
        ) from error


def _ensure_pool(api: PrefectApi, name: str, pool: Pool) -> None:
    """Make a work pool and its queues; what is there already is its operator's."""
    body: dict[str, Any] = {"name": name, "type": pool.type, "description": pool.description}
    if pool.type == ResidentWorker.type:
        body["base_job_template"] = ResidentWorker.get_default_base_job_template()
    _create(api, "/work_pools/", body)
    for queue_name, queue in pool.queues.items():  # before a deployment makes them, without limits
        _create(api, f"/work_pools/{name}/queues", {"name": queue_name, **queue.model_dump(exclude_none=True)})


def _create(api: PrefectApi, path: str, body: dict[str, Any]) -> None:
    try:
        api.post(path, body)
    except PrefectRequestError as error:
        if error.status != HTTPStatus.CONFLICT:
            raise


def _deploy_one(api: PrefectApi, flows: FlowCache, deployment: Deployment) -> str:
    flow = flows.load(deployment.entrypoint)
    full_name = f"{flow.name}/{deployment.name}"
    body = _wire(deployment) | {
        "description": deployment.description or flow.description,
        "parameter_openapi_schema": parameter_schema(flow).model_dump(exclude_unset=True),
    }
    body["version"] = _version(body)
    try:
        found = api.get(f"/deployments/name/{full_name}")
    except PrefectNotFound:
        found = {}
    if found.get("version") == body["version"]:
        _put_back(api, found, deployment.work_pool)
        return full_name
    body["flow_id"] = api.post("/flows/", {"name": flow.name})["id"]
    try:
        api.post("/deployments/", body)
    except PrefectNotFound as error:
        raise InvalidInput(
            f"{full_name} goes to the work pool {deployment.work_pool.name}, which is not there",
            hint="create it: prefect work-pool create",
        ) from error
    return full_name


def _put_back(api: PrefectApi, found: dict[str, Any], pool: WorkPool) -> None:
    """Give a deployment that has not changed its pool again when somebody deleted that, or its queue.

    It would be there and never run. Its schedules stay as they are, paused ones too; and in another pool, to which
    an operator has moved it, it stays.
    """
    if found.get("work_pool_name") is None:
        body = {"work_pool_name": pool.name, "work_queue_name": pool.work_queue_name}
        api.patch(f"/deployments/{found['id']}", body)


def _wire(deployment: Deployment) -> dict[str, Any]:
    return {
        "name": deployment.name,
        "entrypoint": deployment.entrypoint,
        "path": None,
        "pull_steps": [],
        "tags": deployment.tags,
        "parameters": deployment.parameters,
        "enforce_parameter_schema": True,
        "work_pool_name": deployment.work_pool.name,
        "work_queue_name": deployment.work_pool.work_queue_name,
        "job_variables": deployment.work_pool.job_variables,
        "schedules": [
            {
                "active": schedule.active,
                "parameters": schedule.parameters,
                "schedule": {"cron": schedule.cron, "timezone": schedule.timezone},
            }
            for schedule in deployment.schedules
        ],
    }


def _version(body: dict[str, Any]) -> str:
    """Return what tells one content of a deployment from another."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
