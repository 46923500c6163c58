"""A sweep: retire by count, then purge what is due, platform by platform."""

from __future__ import annotations

from uuid import UUID

from bootpress.core.context import Context
from bootpress.core.retention import service
from bootpress.core.retention.purging import purge
from bootpress.core.retention.service import Kept, SweepReport


def sweep(context: Context, *, account_id: UUID, platform: str | None, actor: str) -> SweepReport:
    """Sweep one platform of an account, or all of them.

    Raises RegistryUnavailable when a registry is away: what was retired stays retired, and a repeat goes on.
    """
    reports = [
        sweep_platform(context, platform_id, actor=actor)
        for platform_id in service.platforms_to_sweep(context, account_id=account_id, platform=platform)
    ]
    return SweepReport(
        retired=tuple(one for report in reports for one in report.retired),
        purged=tuple(one for report in reports for one in report.purged),
        kept=tuple(one for report in reports for one in report.kept),
    )


def sweep_platform(context: Context, platform_id: UUID, *, actor: str) -> SweepReport:
    """Retire and purge one platform's publications."""
    retired, due = service.retire(context, platform_id, actor=actor)
    kept = {one: purge(context, one, actor=actor) for one in due}
    return SweepReport(
        retired=retired,
        purged=tuple(one for one, because in kept.items() if because is None),
        kept=tuple(Kept(one, because) for one, because in kept.items() if because is not None),
    )
