"""Prune what was written long ago."""

from __future__ import annotations

from prefect import task
from prefect.logging import get_run_logger

from bootpress.core.pruning import service
from bootpress.wiring import of_process
from tasks.retries import RETRIED


@task(name="prune history", **RETRIED)
def prune_history() -> service.PruneReport | None:
    """Once an hour, delete deliveries, attempts and events beyond their ages and numbers; None where it is not due."""
    report = service.prune_if_due(of_process())
    if report is not None:
        counts = (report.deliveries, report.attempts, report.events)
        get_run_logger().info("deleted %d deliveries, %d attempts and %d events", *counts)
    return report
