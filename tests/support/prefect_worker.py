"""A resident worker in a process of its own, and flow runs as a test looks at them."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from bootpress.adapters.prefect_api.api import PrefectApi
from tests.support.prefect_server import PrefectServer
from tests.support.processes import Program, wait_for

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests" / "support" / "sample_prefect.yaml"
PROJECT = ROOT / "prefect.yaml"
WORKER_LIMIT = 4


@contextmanager
def resident_worker(
    server: PrefectServer,
    log: Path,
    *,
    pool: str,
    name: str,
    limit: int = WORKER_LIMIT,
    grace_seconds: float = 15,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Program]:
    """Run a worker that can import the tests' flows, until the end of the block."""
    words = [sys.executable, "-m", "bootpress.adapters.prefect_api.worker_main", pool, name, str(limit)]
    words += ["--grace-seconds", str(grace_seconds), *options]
    with Program(words, log=log, env=server.environment | dict(environment or {}), cwd=ROOT) as program:
        program.wait_until(lambda: "worker ready" in program.output, what="the worker is ready")
        yield program


def words(path: Path) -> list[str]:
    """Return the words that the sample flows have written into a file so far, without their times."""
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def start(api: PrefectApi, deployment: str, **parameters: Any) -> UUID:
    """Start a flow run of a deployment and return its id."""
    deployment_id = api.get(f"/deployments/name/{deployment}")["id"]
    body = {"parameters": parameters, "state": {"type": "SCHEDULED"}, "idempotency_key": str(uuid.uuid4())}
    return UUID(api.post(f"/deployments/{deployment_id}/create_flow_run", body)["id"])


def state(api: PrefectApi, run_id: UUID) -> dict[str, Any]:
    """Return the state of a flow run: type, name, message."""
    found: dict[str, Any] = api.get(f"/flow_runs/{run_id}")["state"]
    return found


def wait_for_state(api: PrefectApi, run_id: UUID, name: str, seconds: float = 30) -> dict[str, Any]:
    """Wait until a flow run is in the state of that name, and return it."""
    try:
        wait_for(lambda: state(api, run_id)["name"] == name, what=f"the run is {name}", seconds=seconds)
    except TimeoutError as error:
        raise AssertionError(f"{error}; it is {state(api, run_id)}") from error
    return state(api, run_id)
