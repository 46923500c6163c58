"""Artifacts that the Prefect UI shows beside a run."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from uuid import UUID

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger

from bootpress.core.context import Context
from bootpress.core.errors import NotFound
from bootpress.core.publications import completion, reports
from bootpress.core.retention import rules
from bootpress.core.retention.reports import SweepReport
from bootpress.wiring import get_context
from tasks.retries import NO_RETRY_TASK

MAX_REASON = 1000
"""Characters of the reasons of one platform."""
MAX_SLUG = 100
"""Characters of a platform's slug in the name of its reports."""


def report_ingest(attempt_ids: Sequence[UUID]) -> None:
    """Show what was verified; a report that cannot be made is logged, since what it is about is done by then."""
    try:
        _report_ingest(attempt_ids)
    except Exception as error:  # noqa: BLE001 - how the run ends is for the ingest to say, whatever a report meets
        get_run_logger().warning("there is no report in Prefect; the catalog has the publication: %r", error)


@task(name="report", **NO_RETRY_TASK)
def _report_ingest(attempt_ids: Sequence[UUID]) -> None:
    """Show what was verified, by which key or identity, sizes and timings, and where the publication is."""
    context = get_context()
    create_markdown_artifact(
        "\n\n---\n\n".join(_texts(context, attempt_ids)),
        key=_key(context, attempt_ids),
        description="What was verified, by whom it was signed, and where the publication is",
    )


def _key(context: Context, attempt_ids: Sequence[UUID]) -> str:
    """Name the platform, so that its reports are one artifact with a history; Prefect allows a-z, 0-9 and dashes."""
    if len(attempt_ids) > 1:
        return "ingest-backlog"
    slug = reports.platform_slug(context, attempt_ids[0]).lower()
    return f"ingest-{re.sub('[^a-z0-9]+', '-', slug)[:MAX_SLUG].strip('-')}".strip("-")


def _texts(context: Context, attempt_ids: Sequence[UUID]) -> Iterator[str]:
    for attempt_id in attempt_ids:
        with contextlib.suppress(NotFound):  # of a batch whose launch seemed to have failed: taken back since
            yield reports.render_attempt(context, attempt_id)


def report_sweep(outcomes: Sequence[tuple[UUID, SweepReport | Exception]]) -> None:
    """Show what a sweep did; a report that cannot be made is logged, since what it is about is done by then."""
    try:
        _report_sweep(outcomes)
    except Exception as error:  # noqa: BLE001 - how the run ends is for the sweep to say, whatever a report meets
        get_run_logger().warning("there is no report in Prefect; the events say what was done: %r", error)


@task(name="report sweep", **NO_RETRY_TASK)
def _report_sweep(outcomes: Sequence[tuple[UUID, SweepReport | Exception]]) -> None:
    """Show a table of what a sweep did, with a reason for everything that was not done."""
    _show_sweep("What the sweep did", [_sweep_row(platform_id, outcome) for platform_id, outcome in outcomes])


@task(name="report preview", **NO_RETRY_TASK)
def report_preview(plans: Sequence[tuple[UUID, rules.Plan]]) -> None:
    """Show a table of what a sweep would do."""
    rows = [(one, len(plan.retire), len(plan.purge), len(plan.keep) + len(plan.protected), "") for one, plan in plans]
    _show_sweep("What a sweep would do", rows)


def _sweep_row(platform_id: UUID, outcome: SweepReport | Exception) -> tuple[UUID, int, int, int, str]:
    if isinstance(outcome, Exception):
        return platform_id, 0, 0, 0, completion.error_message(outcome)
    untried = [f"{one.count} at {one.host} not tried: it gives no answer" for one in outcome.untried]
    told = [f"{one.publication_id}: {one.because}" for one in (*outcome.failed, *outcome.kept)]
    kept = outcome.count("kept") + outcome.left_count
    return platform_id, outcome.count("retired"), outcome.count("purged"), kept, "; ".join([*untried, *told])


def _show_sweep(title: str, rows: Sequence[tuple[UUID, int, int, int, str]]) -> None:
    lines = [f"## {title}", ""]
    lines += ["| platform | retired | purged | kept | because |", "| --- | ---: | ---: | ---: | --- |"]
    lines += [
        f"| `{platform}` | {retired} | {purged} | {kept} | {reports.escape_markdown(because[:MAX_REASON])} |"
        for platform, retired, purged, kept, because in rows
    ]
    create_markdown_artifact("\n".join(lines), key="retention-sweep", description=title)
