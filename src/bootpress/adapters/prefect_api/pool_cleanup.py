"""What a worker puts right in its pool: runs of a process that died, runs that were lost, runs made while it was away.

Prefect notices none of these: after kill -9 a run stays Running, holds its slots, and no other worker picks it up.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bootpress.adapters.prefect_api.flow_runs import FlowRuns, FlowRunSnapshot

LOST_AFTER: Final = timedelta(seconds=60)
DIED = "The worker {worker} died while it ran this; a new one has started"
LOST = "A worker took this run and never began it"
MISSED = "Missed while no worker was up; a newer run of the schedule takes its place"


def fail_orphaned_runs(flow_runs: FlowRuns, pool: str, worker: str) -> int:
    """End the runs that carry this worker's name and are not over; return how many there were.

    To be called before the worker polls: its name is held by one live process, so nobody runs them any more.
    """
    runs = flow_runs.list_in_pool(pool, ["RUNNING", "PENDING", "CANCELLING"])
    orphans = [run for run in runs if run.worker == worker]
    for run in orphans:
        _end(flow_runs, run, DIED.format(worker=worker))
    return len(orphans)


def fail_lost_runs(flow_runs: FlowRuns, pool: str, worker: str, now: datetime, ours: Collection[UUID]) -> int:
    """End runs that nobody will: taken by a worker that died before it wrote its name, or cancelled while not running.

    `ours` are being run or started by this worker. Runs that carry another worker's name are left to it.
    """
    runs = flow_runs.list_in_pool(pool, ["PENDING", "CANCELLING"])
    lost = [run for run in runs if run.worker in {None, worker} and run.id not in ours and now - run.since > LOST_AFTER]
    for run in lost:
        _end(flow_runs, run, LOST)
    return len(lost)


def _end(flow_runs: FlowRuns, run: FlowRunSnapshot, message: str) -> None:
    if run.state == "CANCELLING":
        flow_runs.cancel(run.id, message)
    else:
        flow_runs.crash(run.id, message)


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
