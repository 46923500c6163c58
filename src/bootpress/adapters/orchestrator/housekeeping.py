"""What a worker puts right in its pool: runs of a process that died, runs that were lost, runs made while it was away.

Prefect notices none of these: after kill -9 a run stays Running, holds its slots, and no other worker picks it up.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bootpress.adapters.orchestrator.flow_runs import FlowRuns

LOST_AFTER: Final = timedelta(seconds=60)
DIED = "The worker {worker} died while it ran this; a new one has started"
LOST = "A worker took this run and never began it"
MISSED = "Missed while no worker was up; a newer run of the schedule takes its place"


def crash_orphans(flow_runs: FlowRuns, pool: str, worker: str) -> int:
    """Crash the runs that carry this worker's name and are not over; return how many there were.

    To be called before the worker polls: its name is held by one live process, so nobody runs them any more.
    """
    orphans = [run for run in flow_runs.of_pool(pool, ["RUNNING", "PENDING", "CANCELLING"]) if run.worker == worker]
    for run in orphans:
        if run.state == "CANCELLING":
            flow_runs.cancelled(run.id, DIED.format(worker=worker))
        else:
            flow_runs.crash(run.id, DIED.format(worker=worker))
    return len(orphans)


def crash_lost(flow_runs: FlowRuns, pool: str, now: datetime, ours: Collection[UUID]) -> int:
    """Crash runs that a worker took and died before it wrote its name on them; `ours` are being started here."""
    lost = [
        run
        for run in flow_runs.of_pool(pool, ["PENDING"])
        if run.worker is None and run.id not in ours and now - run.since > LOST_AFTER
    ]
    for run in lost:
        flow_runs.crash(run.id, LOST)
    return len(lost)


def cancel_missed(flow_runs: FlowRuns, pool: str, now: datetime) -> int:
    """Cancel all but the newest late run of each schedule's deployment; return how many were cancelled."""
    kept: set[UUID | None] = set()
    missed: list[UUID] = []
    for run in flow_runs.late_by_schedule(pool, now):
        if run.deployment_id in kept:
            missed.append(run.id)
        kept.add(run.deployment_id)
    flow_runs.cancel_all(missed, MISSED)
    return len(missed)
