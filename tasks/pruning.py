"""Prune what was written long ago."""

from __future__ import annotations

from prefect import task
from prefect.logging import get_run_logger

from bootpress.core.pruning import service
from bootpress.wiring import get_context
from tasks.retries import RETRYABLE_TASK


@task(name="prune history", **RETRYABLE_TASK)
def prune_history() -> service.PruneReport | None:
    """Once an hour, prune what is beyond its age or number; None where it is not due."""
    report = service.prune_if_due(get_context())
    if report is not None:
        counts = (report.deliveries, report.attempts, report.events, report.publications)
        said = "deleted %d deliveries, %d attempts, %d events and %d publications that failed"
        get_run_logger().info(said, *counts)
    return report
