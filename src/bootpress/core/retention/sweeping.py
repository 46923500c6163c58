"""A sweep: retire by count, then purge what is due, platform by platform; what fails stops nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from bootpress.core.context import Context
from bootpress.core.errors import BootpressError, CatalogUnavailable, RegistryUnavailable
from bootpress.core.retention import service
from bootpress.core.retention.purging import purge
from bootpress.core.retention.service import Kept, SweepReport


def sweep(context: Context, *, account_id: UUID, platform: str | None, actor: str) -> SweepReport:
    """Sweep one platform of an account, or all of them.

    Raises RegistryUnavailable at the end when something could not be purged: everything else is done, what was retired
    stays retired, and a repeat goes on.
    """
    reports = [
        sweep_platform(context, platform_id, actor=actor)
        for platform_id in service.platforms_to_sweep(context, account_id=account_id, platform=platform)
    ]
    report = merge(reports)
    raise_if_failed(report)
    return report


def sweep_platform(context: Context, platform_id: UUID, *, actor: str) -> SweepReport:
    """Retire and purge one platform's publications; what could not be purged is `failed` in the report."""
    retired, due = service.retire(context, platform_id, actor=actor)
    purged, kept, failed = [], [], []
    for publication_id in due:
        try:
            because = purge(context, publication_id, actor=actor)
        except CatalogUnavailable:
            raise
        except BootpressError as error:
            failed.append(Kept(publication_id, str(error)))
        else:
            if because is None:
                purged.append(publication_id)
            else:
                kept.append(Kept(publication_id, because))
    return SweepReport(retired, tuple(purged), tuple(kept), tuple(failed))


def merge(reports: Sequence[SweepReport]) -> SweepReport:
    """Put the reports of several platforms together."""
    return SweepReport(
        retired=tuple(one for report in reports for one in report.retired),
        purged=tuple(one for report in reports for one in report.purged),
        kept=tuple(one for report in reports for one in report.kept),
        failed=tuple(one for report in reports for one in report.failed),
    )


def raise_if_failed(report: SweepReport) -> None:
    """Raise RegistryUnavailable with the first reason if anything could not be purged."""
    if report.failed:
        first, more = report.failed[0], len(report.failed) - 1
        others = f", and {more} more" if more else ""
        raise RegistryUnavailable(
            f"publication {first.publication_id} could not be purged{others}: {first.because}",
            hint=f"{len(report.retired)} were retired and {len(report.purged)} purged; the next sweep goes on",
        )
