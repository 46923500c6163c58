"""Public operations on retention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import Field

from bootpress.core.context import Caller, Context
from bootpress.core.operation import OperationRequest, OperationResponse, Text, operation
from bootpress.core.platforms.operations import NodePlatformAnswer, RetentionCount
from bootpress.core.retention import service, sweep
from bootpress.core.retention.reports import MAX_LISTED, Kept
from bootpress.core.retention.rules import Protected

READ = "system.disk_image_retention.read"
MANAGE = "system.disk_image_retention.manage"


class SetRetention(OperationRequest):
    """A platform (id or slug) and how many publications it keeps."""

    node_platform_id: Text
    retention_count: RetentionCount


class PreviewRetention(OperationRequest):
    """Which platform: its id or slug."""

    node_platform_id: Text


Unlisted = Annotated[
    dict[str, int],
    Field(
        description=f"How many more there are than the first {MAX_LISTED} that a list holds; absent if there are none.",
        exclude_if=lambda more: not more,
    ),
]


class ProtectedView(OperationResponse):
    """A publication that is kept beyond the count, and why."""

    publication_id: UUID
    because: str


class RetentionPlan(OperationResponse):
    """What a sweep would do."""

    keep: list[UUID]
    retire: list[UUID]
    purge: list[UUID]
    protected: list[ProtectedView]
    unlisted: Unlisted


class SweepRetention(OperationRequest):
    """One platform (id or slug), or all of the account."""

    node_platform_id: Text | None = None


class SweepAnswer(OperationResponse):
    """What the sweep did; `kept` are those of which something could not be deleted, and why."""

    retired: list[UUID]
    purged: list[UUID]
    kept: list[ProtectedView]
    unlisted: Unlisted


@operation(permission=MANAGE)
def system_set_disk_image_retention(context: Context, caller: Caller, request: SetRetention) -> NodePlatformAnswer:
    """Set how many publications a platform keeps; the next sweep acts on it."""
    row = service.set_retention(
        context,
        account_id=caller.account_id,
        platform=request.node_platform_id,
        retention_count=request.retention_count,
    )
    return NodePlatformAnswer.of(context, row)


@operation(permission=READ, changes=False)
def system_preview_disk_image_retention(context: Context, caller: Caller, request: PreviewRetention) -> RetentionPlan:
    """Say what a sweep would keep, retire and purge now."""
    plan = service.preview(context, account_id=caller.account_id, platform=request.node_platform_id)
    lists = {"keep": plan.keep, "retire": plan.retire, "purge": plan.purge, "protected": plan.protected}
    return RetentionPlan(
        keep=list(plan.keep[:MAX_LISTED]),
        retire=list(plan.retire[:MAX_LISTED]),
        purge=list(plan.purge[:MAX_LISTED]),
        protected=_views(plan.protected[:MAX_LISTED]),
        unlisted={name: len(found) - MAX_LISTED for name, found in lists.items() if len(found) > MAX_LISTED},
    )


@operation(permission=MANAGE, asks_outside=True)
def system_sweep_disk_image_retention(context: Context, caller: Caller, request: SweepRetention) -> SweepAnswer:
    """Retire what lies beyond the count, and purge what was retired seven days ago."""
    report = sweep.sweep(context, account_id=caller.account_id, platform=request.node_platform_id, actor=caller.name)
    return SweepAnswer(
        retired=list(report.retired),
        purged=list(report.purged),
        kept=_views(report.kept),
        unlisted=report.unlisted,
    )


def _views(found: Sequence[Protected | Kept]) -> list[ProtectedView]:
    return [ProtectedView(publication_id=one.publication_id, because=one.because) for one in found]
