"""Public operations on retention."""

from __future__ import annotations

from uuid import UUID

from bootpress.core.context import Caller, Context
from bootpress.core.operations import Answer, Request, Text, operation
from bootpress.core.platforms.operations import NodePlatformAnswer, NodePlatformView, RetentionCount
from bootpress.core.retention import service, sweeping

READ = "system.disk_image_retention.read"
MANAGE = "system.disk_image_retention.manage"


class SetRetention(Request):
    """A platform (id or slug) and how many publications it keeps."""

    node_platform_id: Text
    retention_count: RetentionCount


class PreviewRetention(Request):
    """Which platform: its id or slug."""

    node_platform_id: Text


class ProtectedView(Answer):
    """A publication that is kept beyond the count, and why."""

    publication_id: UUID
    because: str


class RetentionPlan(Answer):
    """What a sweep would do."""

    keep: list[UUID]
    retire: list[UUID]
    purge: list[UUID]
    protected: list[ProtectedView]


class SweepRetention(Request):
    """One platform (id or slug), or all of the account."""

    node_platform_id: Text | None = None


class SweepAnswer(Answer):
    """What the sweep did; `kept` are those of which something could not be deleted, and why."""

    retired: list[UUID]
    purged: list[UUID]
    kept: list[ProtectedView]


@operation(permission=MANAGE)
def system_set_disk_image_retention(context: Context, caller: Caller, request: SetRetention) -> NodePlatformAnswer:
    """Set how many publications a platform keeps; the next sweep acts on it."""
    row = service.set_retention(
        context,
        account_id=caller.account_id,
        platform=request.node_platform_id,
        retention_count=request.retention_count,
    )
    return NodePlatformAnswer(node_platform=NodePlatformView.of(row))


@operation(permission=READ, changes=False)
def system_preview_disk_image_retention(context: Context, caller: Caller, request: PreviewRetention) -> RetentionPlan:
    """Say what a sweep would keep, retire and purge now."""
    plan = service.preview(context, account_id=caller.account_id, platform=request.node_platform_id)
    return RetentionPlan(
        keep=list(plan.keep),
        retire=list(plan.retire),
        purge=list(plan.purge),
        protected=[ProtectedView(publication_id=one.publication_id, because=one.because) for one in plan.protected],
    )


@operation(permission=MANAGE, asks_outside=True)
def system_sweep_disk_image_retention(context: Context, caller: Caller, request: SweepRetention) -> SweepAnswer:
    """Retire what lies beyond the count, and purge what was retired seven days ago."""
    report = sweeping.sweep(context, account_id=caller.account_id, platform=request.node_platform_id, actor=caller.name)
    return SweepAnswer(
        retired=list(report.retired),
        purged=list(report.purged),
        kept=[ProtectedView(publication_id=one.publication_id, because=one.because) for one in report.kept],
    )
