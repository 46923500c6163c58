"""Artifacts that the Prefect UI shows beside a run."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect import task
from prefect.artifacts import create_markdown_artifact

from bootpress.core.publications import reports
from bootpress.wiring import of_process
from tasks.retries import ONCE


@task(name="report", **ONCE)
def report_ingest(attempt_ids: Sequence[UUID]) -> None:
    """Show what was verified, by which key or identity, sizes and timings, and where the publication is."""
    context = of_process()
    create_markdown_artifact(
        "\n\n---\n\n".join(reports.of_attempt(context, attempt_id) for attempt_id in attempt_ids),
        key=f"ingest-{attempt_ids[0]}",
        description="What was verified, by whom it was signed, and where the publication is",
    )


@task(name="report sweep", **ONCE)
def report_sweep(rows: Sequence[tuple[UUID, int, int, int]], *, dry_run: bool) -> None:
    """Show a table of what a sweep did, or would do."""
    title = "What a sweep would do" if dry_run else "What the sweep did"
    lines = [f"## {title}", "", "| platform | retired | purged | kept |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| `{platform}` | {retired} | {purged} | {kept} |" for platform, retired, purged, kept in rows]
    create_markdown_artifact("\n".join(lines), key="retention-sweep", description=title)
