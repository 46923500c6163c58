"""Where the time of one ingest goes: our own steps, and what Prefect adds around them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import select

from benchmarks.pipeline import Pipeline
from benchmarks.table import Measured, seconds, share
from bootpress.core.context import Context
from bootpress.core.publications import ingest, service, settling
from bootpress.core.publications.models import Publication
from bootpress.core.webhooks import attempts
from bootpress.core.webhooks.models import Attempt, Delivery
from bootpress.settings import Settings
from bootpress.wiring import production

ROUNDS = 15
PATIENCE = 100
BAR = 0.25
STEPS = {
    "begin": "begin",
    "resolve": "resolve",
    "read_manifest": "read manifest",
    "verify_signature": "verify signature",
    "verify_blobs": "verify blobs",
    "publish": "publish",
}
"""Our functions, and the tasks that call them."""


def measure(pipeline: Pipeline) -> list[Measured]:
    """Ingest small artifacts through the whole stack, and by our functions alone on the same catalog and registry."""
    pipeline.wait(pipeline.announce(pipeline.push("share-warm")))
    context = _context(pipeline)
    runs = [_through_prefect(pipeline, context, f"share-{number}") for number in range(ROUNDS)]
    alone = [_alone(pipeline, context, f"alone-{number}") for number in range(ROUNDS)]
    ours = {name: statistics.median(one[name] for one in alone) for name in STEPS}
    found = {name: statistics.median(one[name] for one in runs) for name in runs[0]}
    whole = found.pop("whole")
    rows = [
        share(
            "ingest of a small artifact: our own time",
            sum(ours.values()),
            whole,
            beside="from the stored delivery to the publication",
            bar=BAR,
        )
    ]
    around = {name: taken for name, taken in found.items() if name not in STEPS.values()}
    rows += [Measured(f"… {name}", "", seconds(taken)) for name, taken in around.items()]
    rows += [_row(task, ours[name], found[task]) for name, task in STEPS.items()]
    return rows


def _row(task: str, ours: float, beside: float) -> Measured:
    return Measured(f"… {task}", seconds(ours), f"{seconds(beside)} as a task of Prefect's", f"{ours / beside:.2f}")


def _context(pipeline: Pipeline) -> Context:
    os.environ["PREFECT_API_URL"] = f"{pipeline.stack.endpoints['prefect_url']}/api"
    return production(Settings(home=pipeline.stack.home))


def _alone(pipeline: Pipeline, context: Context, tag: str) -> dict[str, float]:
    """Return the seconds of each of our steps for one image."""
    delivery_id = service.announce_by_hand(context, platform="bench", reference=pipeline.push(tag), actor="bench")
    begun = time.perf_counter()
    attempt_id = attempts.begin(context, delivery_id, attempt_id=None, flow_run_id=None)
    taken = {"begin": time.perf_counter() - begun}
    for step in (ingest.resolve, *ingest.STEPS, settling.publish):
        begun = time.perf_counter()
        step(context, attempt_id)
        taken[step.__name__] = time.perf_counter() - begun
    return taken


def _through_prefect(pipeline: Pipeline, context: Context, tag: str) -> Mapping[str, float]:
    """Return the seconds of each part of one run, as catalog and Prefect recorded them."""
    delivery_id = UUID(pipeline.announce(pipeline.push(tag)))
    pipeline.wait(str(delivery_id))
    with context.catalog.reading() as session:
        delivery = session.get_one(Delivery, delivery_id)
        attempt = session.scalars(select(Attempt).where(Attempt.delivery_id == delivery_id)).one()
        published = session.get_one(Publication, delivery.publication_id).published_at
    if published is None:
        raise AssertionError(f"delivery {delivery_id} was not published")
    prefect = f"{pipeline.stack.endpoints['prefect_url']}/api"
    run, spans = _recorded(prefect, attempt.flow_run_id)
    first = spans["begin"][0]
    return {
        "whole": (published - delivery.received_at).total_seconds(),
        "stored → run created": (_at(run["created"]) - delivery.received_at).total_seconds(),
        "run created → first task begins": (first - _at(run["created"])).total_seconds(),
        **{task: (end - begin).total_seconds() for task, (begin, end) in spans.items() if task in STEPS.values()},
    }


def _recorded(prefect: str, run_id: UUID | None) -> tuple[dict[str, Any], dict[str, tuple[datetime, datetime]]]:
    """Return a run, and when each of our tasks began and ended; Prefect writes that a moment after the fact."""
    only = {"flow_runs": {"id": {"any_": [str(run_id)]}}}
    for _ in range(PATIENCE):
        tasks = httpx.post(f"{prefect}/task_runs/filter", json=only, timeout=30).raise_for_status().json()
        ended = {task["name"].rpartition("-")[0]: task for task in tasks if task["end_time"]}
        if ended.keys() >= set(STEPS.values()):
            run: dict[str, Any] = httpx.get(f"{prefect}/flow_runs/{run_id}", timeout=30).raise_for_status().json()
            return run, {name: (_at(task["start_time"]), _at(task["end_time"])) for name, task in ended.items()}
        time.sleep(0.1)
    raise AssertionError(f"Prefect did not record the tasks of run {run_id}")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
