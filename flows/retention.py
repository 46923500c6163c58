"""Keep a bounded history."""

from __future__ import annotations

from uuid import UUID

from prefect import flow

from bootpress.core.retention.reports import SweepReport
from tasks.reports import report_preview, report_sweep
from tasks.retention import fail_if_incomplete, platforms_to_sweep, preview_platform, sweep_platform


@flow(name="sweep-retention")
def sweep(platform: str | None = None, dry_run: bool = False) -> None:  # noqa: FBT001, FBT002 - Prefect shows it as a switch
    """Retire publications beyond each platform's count, and purge those retired seven days ago.

    What fails on one platform stops no other, and a registry that gives no answer is asked once. At the end the run
    fails with the first reason.

    Args:
        platform: A node platform's slug or id; all platforms if left empty.
        dry_run: Only say what would be done.
    """
    platforms = platforms_to_sweep(platform)
    if dry_run:
        report_preview([(one, preview_platform(one)) for one in platforms])
        return
    outcomes: list[tuple[UUID, SweepReport | Exception]] = []
    unreachable: dict[str, str] = {}
    for one in platforms:
        outcome = sweep_platform(one, unreachable, return_state=True).result(raise_on_failure=False)
        outcomes.append((one, outcome))
        if isinstance(outcome, SweepReport):
            unreachable = outcome.unreachable
    report_sweep(outcomes)
    fail_if_incomplete(outcomes)
