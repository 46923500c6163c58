"""What the flow of a build does: look, sleep, take its callback up, report."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from bootpress.core.builds import callbacks, reconciler, reports
from bootpress.core.deliveries import attempts
from bootpress.wiring import get_context
from tasks.retries import NO_RETRY_TASK, RETRYABLE_TASK

MAX_SLUG = 100
"""Characters of a platform's slug in the name of its reports."""


class Callback(RunInput):
    """What a build waits for. It is only a wake-up: what came back is read from the catalog."""


def suspend_until_callback(outlook: callbacks.NextStep) -> None:
    """Suspend this flow run: no process waits. Whoever resumes it has it begin anew, and look again."""
    waits_for = Callback.with_initial_data(
        description=(
            "Waits for the build's webhook, and is resumed by it. Resumed by hand, it looks whether there is anything"
            " to do, and goes back to sleep: nothing is published by that."
        )
    )
    # A key fires once: a new one, or a run that was resumed in vain would not sleep again.
    suspend_flow_run(waits_for, timeout=int(outlook.wait.total_seconds()), key=f"callback-{uuid4()}")


@task(name="look at build", **RETRYABLE_TASK)
def get_next_step(build_id: UUID) -> callbacks.NextStep:
    """See in the catalog what there is to do: a callback to ingest, an end to report, or nothing yet."""
    return callbacks.next_step(get_context(), build_id, flow_run_id=_run_id())


@task(name="take callback up", **RETRYABLE_TASK)
def start_attempt(delivery_id: UUID, attempt_id: UUID) -> UUID:
    """Begin the attempt that this run was woken for; return its id."""
    return attempts.start(get_context(), delivery_id, attempt_id=attempt_id, flow_run_id=_run_id())


@task(name="tend builds", **NO_RETRY_TASK)
def reconcile_builds() -> None:
    """Ask the forge about runs that have not called back, recover lost callbacks, end what is past its deadline."""
    report = reconciler.reconcile_builds(get_context())
    logger = get_run_logger()
    for trouble in report.troubles:
        logger.warning("%s", trouble)
    if report.looked or report.woken:
        logger.info(
            "asked about %d builds: %d recovered, %d ended; woke %d runs",
            *(report.looked, report.recovered, report.ended, report.woken),
        )


def report_build(build_id: UUID) -> reports.BuildSummary:
    """Return how a build ended and show it; a report that cannot be made is logged: the catalog says how it ended."""
    ending = reports.get_summary(get_context(), build_id)
    try:
        _report_build(build_id, ending)
    except Exception as error:  # noqa: BLE001 - how the run ends is for the build to say, whatever a report meets
        get_run_logger().warning("there is no report in Prefect; the catalog has the build: %r", error)
    reports.mark_reported(get_context(), build_id)
    return ending


@task(name="report build", **NO_RETRY_TASK)
def _report_build(build_id: UUID, ending: reports.BuildSummary) -> None:
    """Show how a build ended, with links to its run at the forge and to its publication."""
    slug = re.sub("[^a-z0-9]+", "-", (ending.platform or str(build_id)).lower())[:MAX_SLUG].strip("-")
    create_markdown_artifact(
        ending.text, key=f"build-{slug}".strip("-"), description="How a dispatched build ended, and where to look"
    )


def _run_id() -> UUID | None:
    found = flow_run.get_id()
    return UUID(found) if found else None
