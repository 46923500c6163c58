"""Where the time of one ingest goes: our own steps, and what Prefect adds around them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import select

from benchmarks.pipeline import Pipeline
from benchmarks.table import Measured, seconds, share
from bootpress.core.context import Context
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.publications import completion, ingest, service
from bootpress.settings import Settings
from bootpress.wiring import create_context
from tests.support.running_stack import Stack

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
BETWEEN = "between the tasks"


@dataclass(frozen=True, slots=True)
class Run:
    """When one delivery was stored, and what Prefect recorded of its run."""

    stored: datetime
    created: datetime
    begun: datetime
    tasks: Mapping[str, tuple[datetime, datetime]]
    """When each task began and ended; they take turns."""

    @property
    def ended(self) -> datetime:
        """Return when the last task ended, which published."""
        return max(end for _, end in self.tasks.values())

    @property
    def whole(self) -> float:
        """Return the seconds from the stored delivery to the publication."""
        return (self.ended - self.stored).total_seconds()

    def divide(self) -> dict[str, float]:
        """Return the seconds of each part; together they are the whole."""
        first = min(begin for begin, _ in self.tasks.values())
        tasks = {name: (end - begin).total_seconds() for name, (begin, end) in self.tasks.items()}
        return {
            "stored → run created": (self.created - self.stored).total_seconds(),
            "run created → run begins": (self.begun - self.created).total_seconds(),
            "run begins → first task begins": (first - self.begun).total_seconds(),
            BETWEEN: (self.ended - first).total_seconds() - sum(tasks.values()),
            **tasks,
        }


def measure(pipeline: Pipeline) -> list[Measured]:
    """Ingest small artifacts through the whole stack, and by our functions alone on the same catalog and registry."""
    pipeline.wait(pipeline.announce(pipeline.push("share-warm")))
    context = _context(pipeline)
    parts = typical([_through_prefect(pipeline, context, f"share-{number}") for number in range(ROUNDS)])
    alone = [_alone(pipeline, context, f"alone-{number}") for number in range(ROUNDS)]
    ours = {task: statistics.median(one[name] for one in alone) for name, task in STEPS.items()}
    return rows(ours, parts)


def typical(runs: Sequence[Run]) -> dict[str, float]:
    """Return the mean of each part over the third of the runs in the middle: unlike medians, means add up."""
    third = len(runs) // 3
    middle = sorted(runs, key=lambda run: run.whole)[third : len(runs) - third]
    divided = [run.divide() for run in middle]
    return {part: statistics.fmean(one[part] for one in divided) for part in divided[0]}


def rows(ours: Mapping[str, float], parts: Mapping[str, float]) -> list[Measured]:
    """Write the whole and its parts: what each of our steps takes by itself, beside the task that takes it."""
    whole = sum(parts.values())
    beside = "from the stored delivery to the end of the task that publishes"
    return [
        share("ingest of a small artifact: our own time", sum(ours.values()), whole, beside=beside, bar=BAR),
        *(Measured(f"… {part}", "", seconds(taken)) for part, taken in parts.items() if part not in ours),
        *(share(f"… {task}", ours[task], parts[task], beside="as a task of Prefect's") for task in ours),
    ]


def _context(pipeline: Pipeline) -> Context:
    os.environ["PREFECT_API_URL"] = pipeline.stack.prefect_api
    os.environ["PREFECT_API_AUTH_STRING"] = pipeline.stack.prefect_auth_string
    return create_context(Settings(home=pipeline.stack.home))


def _alone(pipeline: Pipeline, context: Context, tag: str) -> dict[str, float]:
    """Return the seconds of each of our steps for one image."""
    delivery_id = service.create_manual_delivery(context, platform="bench", reference=pipeline.push(tag), actor="bench")
    begun = time.perf_counter()
    attempt_id = attempts.start(context, delivery_id, attempt_id=None, flow_run_id=None)
    taken = {"begin": time.perf_counter() - begun}
    for step in (ingest.resolve, *ingest.STEPS, completion.publish):
        begun = time.perf_counter()
        step(context, attempt_id)
        taken[step.__name__] = time.perf_counter() - begun
    return taken


def _through_prefect(pipeline: Pipeline, context: Context, tag: str) -> Run:
    """Return one run, as catalog and Prefect recorded it."""
    delivery_id = UUID(pipeline.announce(pipeline.push(tag)))
    pipeline.wait(str(delivery_id))
    with context.catalog.read_session() as session:
        stored = session.get_one(Delivery, delivery_id).received_at
        attempt = session.scalars(select(Attempt).where(Attempt.delivery_id == delivery_id)).one()
    run, tasks = _recorded(pipeline.stack, attempt.flow_run_id)
    return Run(stored, _at(run["created"]), _at(run["start_time"]), tasks)


def _recorded(stack: Stack, run_id: UUID | None) -> tuple[dict[str, Any], dict[str, tuple[datetime, datetime]]]:
    """Return a run, and when each of our tasks began and ended; Prefect writes that a moment after the fact."""
    only = {"flow_runs": {"id": {"any_": [str(run_id)]}}}
    prefect, auth = stack.prefect_api, stack.prefect_auth
    for _ in range(PATIENCE):
        tasks = httpx.post(f"{prefect}/task_runs/filter", json=only, auth=auth, timeout=30).raise_for_status().json()
        ended = {task["name"].rpartition("-")[0]: task for task in tasks if task["end_time"]}
        if ended.keys() >= set(STEPS.values()):
            answer = httpx.get(f"{prefect}/flow_runs/{run_id}", auth=auth, timeout=30)
            run: dict[str, Any] = answer.raise_for_status().json()
            return run, {
                name: (_at(ended[name]["start_time"]), _at(ended[name]["end_time"])) for name in STEPS.values()
            }
        time.sleep(0.1)
    raise AssertionError(f"Prefect did not record the tasks of run {run_id}")


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
