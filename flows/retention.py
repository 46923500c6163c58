"""Keep a bounded history."""

from __future__ import annotations

from prefect import flow

from tasks.reports import report_preview, report_sweep
from tasks.retention import fail_if_incomplete, platforms_to_sweep, preview_platform, sweep_platform


@flow(name="sweep-retention")
def sweep(platform: str | None = None, dry_run: bool = False) -> None:  # noqa: FBT001, FBT002 - Prefect shows it as a switch
    """Retire publications beyond each platform's count, and purge those retired seven days ago.

    What fails on one platform stops no other; at the end the run fails with the first reason.

    Args:
        platform: A node platform's slug or id; all platforms if left empty.
        dry_run: Only say what would be done.
    """
    platforms = platforms_to_sweep(platform)
    if dry_run:
        report_preview([(one, preview_platform(one)) for one in platforms])
        return
    states = [(one, sweep_platform(one, return_state=True)) for one in platforms]
    outcomes = [(one, state.result(raise_on_failure=False)) for one, state in states]
    report_sweep(outcomes)
    fail_if_incomplete(outcomes)
