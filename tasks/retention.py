"""Sweep platforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from prefect import task

from bootpress.core.retention import rules, service, sweeping
from bootpress.core.retention.reports import SweepReport
from bootpress.wiring import of_process
from tasks.retries import ONCE, RETRIED


@task(name="platforms to sweep", **ONCE)
def platforms_to_sweep(platform: str | None) -> list[UUID]:
    """Return one platform's id, found by id or slug, or those of all platforms."""
    return service.platforms_to_sweep(of_process(), account_id=None, platform=platform)


@task(name="sweep platform", **RETRIED)
def sweep_platform(platform_id: UUID, unreachable: Mapping[str, str]) -> SweepReport:
    """Retire what lies beyond the count, and purge what was retired seven days ago; the report says what failed.

    Args:
        platform_id: The platform.
        unreachable: Registries that gave no answer in this run so far, and why.
    """
    return sweeping.sweep_platform(of_process(), platform_id, actor="retention", unreachable=unreachable)


@task(name="preview platform", **ONCE)
def preview_platform(platform_id: UUID) -> rules.Plan:
    """Say what a sweep would do, and do nothing."""
    return service.preview_by_id(of_process(), platform_id)


def fail_if_incomplete(outcomes: Sequence[tuple[UUID, SweepReport | Exception]]) -> None:
    """Raise what the first platform that could not be swept met, or else why a publication could not be purged."""
    for _, outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        sweeping.raise_if_failed(outcome)
