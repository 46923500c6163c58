"""A sweep: retire by count, then purge what is due, platform by platform; what fails stops nothing else.

A registry that gives no answer is asked once in a run. What else is due there is left to the next sweep, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from bootpress.core.context import Context
from bootpress.core.errors import BootpressError, CatalogUnavailable, RegistryUnavailable, RegistryUnreachable
from bootpress.core.references import parse_repository
from bootpress.core.retention import service
from bootpress.core.retention.purge import purge
from bootpress.core.retention.reports import Kept, SweepReport, Untried
from bootpress.core.retention.unreachable import Unreachable

MAX_TOLD = 5
"""Registries that an error names."""


def sweep(context: Context, *, account_id: UUID | None, platform: str | None, actor: str) -> SweepReport:
    """Sweep one platform of an account, or all of them; without an account those of all accounts.

    Raises RegistryUnavailable at the end when something could not be purged: everything else is done, what was retired
    stays retired, and a repeat goes on.
    """
    report = SweepReport()
    for platform_id in service.platforms_to_sweep(context, account_id=account_id, platform=platform):
        done = sweep_platform(context, platform_id, actor=actor, unreachable=report.unreachable)
        report = SweepReport.merge([report, done])
    raise_if_failed(report)
    return report


def sweep_platform(
    context: Context, platform_id: UUID, *, actor: str, unreachable: Mapping[str, str] | None = None
) -> SweepReport:
    """Retire and purge one platform's publications; what could not be purged is `failed` or `untried` in the report.

    `unreachable` says which registries gave no answer in this run so far, and why; the report says it anew.
    """
    run = Unreachable(unreachable)
    retired, due = service.retire(context, platform_id, actor=actor)
    report = SweepReport(retired=tuple(retired))
    untried: dict[str, Untried] = {}
    for publication_id, repository in due:
        host = parse_repository(repository).host
        if host in untried:
            untried[host] = replace(untried[host], count=untried[host].count + 1)
            continue
        try:
            done = _purge(context, publication_id, actor=actor, run=run)
        except RegistryUnreachable as error:
            untried[host] = Untried(platform_id, host, 0, str(error))
            done = SweepReport(failed=(Kept(publication_id, str(error)),))
        report = SweepReport.merge([report, done])
    left = tuple(one for one in untried.values() if one.count)
    return SweepReport.merge([report, SweepReport(untried=left, unreachable=run.reasons)])


def _purge(context: Context, publication_id: UUID, *, actor: str, run: Unreachable) -> SweepReport:
    try:
        because = purge(context, publication_id, actor=actor, unreachable=run)
    except (CatalogUnavailable, RegistryUnreachable):
        raise
    except BootpressError as error:
        return SweepReport(failed=(Kept(publication_id, str(error)),))
    if because is None:
        return SweepReport(purged=(publication_id,))
    return SweepReport(kept=(Kept(publication_id, because),))


def raise_if_failed(report: SweepReport) -> None:
    """Raise RegistryUnavailable with the first reason, and the registries given up, if anything could not be purged."""
    if report.failed:
        first, more = report.failed[0], report.left_count - 1
        others = f", and {more} more" if more else ""
        said = f"publication {first.publication_id} could not be purged{others}: {first.because}"
        retired, purged = report.count("retired"), report.count("purged")
        raise RegistryUnavailable(
            f"{said}{_told_of_untried(report)}",
            hint=f"{retired} were retired and {purged} purged; the next sweep goes on",
        )


def _told_of_untried(report: SweepReport) -> str:
    told = [f"{one.count} of the platform {one.platform_id} at {one.host}" for one in report.untried[:MAX_TOLD]]
    more = report.count("untried") - len(told)
    told += [f"{more} platforms more"] if more else []
    return f"; not tried, since their registry gives no answer: {', '.join(told)}" if told else ""
