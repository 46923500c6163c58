"""Keep a bounded history."""

from __future__ import annotations

from prefect import flow

from tasks.reports import report_sweep
from tasks.retention import platforms_to_sweep, preview_platform, sweep_platform


@flow(name="sweep-retention")
def sweep(platform: str | None = None, dry_run: bool = False) -> None:  # noqa: FBT001, FBT002 - Prefect shows it as a switch
    """Retire publications beyond each platform's count, and purge those retired seven days ago.

    Args:
        platform: A node platform's slug or id; all platforms if left empty.
        dry_run: Only say what would be done.
    """
    platforms = platforms_to_sweep(platform)
    if dry_run:
        plans = [(one, preview_platform(one)) for one in platforms]
        rows = [(one, len(plan.retire), len(plan.purge), len(plan.keep)) for one, plan in plans]
    else:
        reports = [(one, sweep_platform(one)) for one in platforms]
        rows = [(one, len(report.retired), len(report.purged), len(report.kept)) for one, report in reports]
    report_sweep(rows, dry_run=dry_run)
