"""From an answered webhook to a publication, beside what a stock process worker needs to start the same flow."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from benchmarks.pipeline import Pipeline
from benchmarks.table import Measured, faster, seconds
from tests.support.processes import Program
from tests.support.running_stack import Stack

SINGLE = 15
STOCK = 3
STARTED_ONE_BY_ONE = 15
MANY = 200
CLIENTS = 16
PAUSE = 0.02
TRIES = 100


def measure(pipeline: Pipeline, folder: Path) -> list[Measured]:
    """Measure one delivery on the idle stack, then many at once."""
    pipeline.wait(pipeline.announce(pipeline.push("warm")))
    single = statistics.median(one_delivery(pipeline, f"single-{number}") for number in range(SINGLE))
    one_by_one = _one_by_one(pipeline)
    drained, accepted = _burst(pipeline)
    stock = _stock(pipeline, folder)
    one_by_one_all = f"to start {MANY} runs one by one (from {STARTED_ONE_BY_ONE})"
    return [
        faster(
            "webhook answered → published, small artifact, idle, p50",
            single,
            stock,
            beside="on a stock process worker",
            bar=8,
        ),
        Measured(f"{MANY} deliveries from {CLIENTS} clients, all answered 202", seconds(accepted)),
        faster(f"{MANY} deliveries at once, drained", drained, one_by_one * MANY, beside=one_by_one_all, bar=5),
    ]


def one_delivery(pipeline: Pipeline, tag: str) -> float:
    """Return the seconds from an answered webhook to the publication of what it announced."""
    reference = pipeline.push(tag)
    delivery_id = pipeline.announce(reference)
    answered = datetime.now(UTC)
    pipeline.wait(delivery_id)
    return (pipeline.published_at(reference) - answered).total_seconds()


def _one_by_one(pipeline: Pipeline) -> float:
    """Return the seconds Prefect needs to take a run from its creation to its end on the resident worker."""
    begun = time.monotonic()
    for number in range(STARTED_ONE_BY_ONE):
        reference = pipeline.push(f"one-{number}")
        _run_manual(pipeline.stack, "ingest-publication/manual", reference)
    return (time.monotonic() - begun) / STARTED_ONE_BY_ONE


def _burst(pipeline: Pipeline) -> tuple[float, float]:
    references = [pipeline.push(f"many-{number}") for number in range(MANY)]
    begun = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as clients:
        deliveries = set(clients.map(pipeline.announce, references))
    accepted = time.monotonic() - begun
    finished = pipeline.stack.wait_for(deliveries, seconds=240)
    drained = time.monotonic() - begun
    if len(deliveries) != MANY or {one["status"] for one in finished.values()} != {"done"}:
        raise AssertionError("a delivery of the burst was lost or failed")
    if len({one["publication_id"] for one in finished.values()}) != MANY:
        raise AssertionError("a delivery of the burst was published twice")
    return drained, accepted


def _stock(pipeline: Pipeline, folder: Path) -> float:
    """Return the median of the same deployment on a process worker of Prefect's own."""
    stack = pipeline.stack
    name = "ingest-publication/manual"
    deployment = _get(stack, f"/deployments/name/{name}").raise_for_status().json()
    pool = {"name": "stock", "type": "process", "base_job_template": {}}
    _post(stack, "/work_pools/", pool)
    body = {key: deployment[key] for key in ("flow_id", "entrypoint", "parameter_openapi_schema", "pull_steps", "path")}
    _post(stack, "/deployments/", {**body, "name": "stock", "work_pool_name": "stock"})
    environment = dict(os.environ) | {
        "PREFECT_API_URL": stack.prefect_api,
        "PREFECT_API_AUTH_STRING": stack.prefect_auth_string,
        "PREFECT_HOME": str(folder / "stock"),
        "PREFECT_WORKER_QUERY_SECONDS": "0.5",
        "BOOTPRESS_HOME": str(pipeline.stack.home),
    }
    words = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "stock", "--type", "process"]
    with Program(words, log=folder / "stock.log", env=environment) as worker:
        worker.wait_until(lambda: "started" in worker.output.lower(), what="the process worker polls")
        return statistics.median(_single_stock(pipeline, number) for number in range(STOCK))


def _single_stock(pipeline: Pipeline, number: int) -> float:
    reference = pipeline.push(f"stock-{number}")
    answered = _run_manual(pipeline.stack, "ingest-publication/stock", reference)
    return (pipeline.published_at(reference) - answered).total_seconds()


def _run_manual(stack: Stack, deployment: str, reference: str) -> datetime:
    """Run a deployment to its end; return when Prefect had answered that it will."""
    found = _get(stack, f"/deployments/name/{deployment}").raise_for_status().json()["id"]
    parameters = {"platform": "bench", "reference": reference}
    run = _post(stack, f"/deployments/{found}/create_flow_run", {"parameters": parameters})
    answered = datetime.now(UTC)

    def state() -> dict[str, Any]:
        answer = _get(stack, f"/flow_runs/{run['id']}")
        return answer.json()["state"] if answer.is_success else {"type": "UNKNOWN"}

    _until(lambda: state()["type"] in {"COMPLETED", "FAILED", "CRASHED"})
    if state()["type"] != "COMPLETED":
        raise AssertionError(f"{deployment} ended as {state()}")
    return answered


def _get(stack: Stack, path: str) -> httpx.Response:
    return httpx.get(stack.prefect_api + path, auth=stack.prefect_auth, timeout=30)


def _post(stack: Stack, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Post to Prefect, again where SQLite was busy for a moment."""
    for _ in range(TRIES):
        answer = httpx.post(stack.prefect_api + path, json=body, auth=stack.prefect_auth, timeout=30)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            break
        time.sleep(PAUSE)
    shown: dict[str, Any] = answer.raise_for_status().json()
    return shown


def _until(holds: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing came of it within {seconds:.0f} s")
        time.sleep(PAUSE)
