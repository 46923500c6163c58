"""Sweep platforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from prefect import task

from bootpress.core.retention import rules, service, sweep
from bootpress.core.retention.reports import SweepReport
from bootpress.wiring import get_context
from tasks.retries import NO_RETRY_TASK, RETRYABLE_TASK


@task(name="platforms to sweep", **NO_RETRY_TASK)
def platforms_to_sweep(platform: str | None) -> list[UUID]:
    """Return one platform's id, found by id or slug, or those of all platforms."""
    return service.platforms_to_sweep(get_context(), account_id=None, platform=platform)


@task(name="sweep platform", **RETRYABLE_TASK)
def sweep_platform(platform_id: UUID, unreachable: Mapping[str, str]) -> SweepReport:
    """Retire what lies beyond the count, and purge what was retired seven days ago; the report says what failed.

    Args:
        platform_id: The platform.
        unreachable: Registries that gave no answer in this run so far, and why.
    """
    return sweep.sweep_platform(get_context(), platform_id, actor="retention", unreachable=unreachable)


@task(name="preview platform", **NO_RETRY_TASK)
def preview_platform(platform_id: UUID) -> rules.Plan:
    """Say what a sweep would do, and do nothing."""
    return service.preview_by_id(get_context(), platform_id)


def fail_if_incomplete(outcomes: Sequence[tuple[UUID, SweepReport | Exception]]) -> None:
    """Raise what the first platform that could not be swept met, or else why a publication could not be purged."""
    for _, outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        sweep.raise_if_failed(outcome)
