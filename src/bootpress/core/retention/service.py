"""Retention of a platform: set the count, preview, sweep."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.errors import NotFound
from bootpress.core.events.service import Kind
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import find_platform, find_platforms, lock_platform
from bootpress.core.publications import history
from bootpress.core.publications import rules as publication_rules
from bootpress.core.publications.models import Publication
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.retention import rules


@dataclass(frozen=True, slots=True)
class Kept:
    """A publication of which something is still there, and why."""

    publication_id: UUID
    because: str


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did."""

    retired: tuple[UUID, ...] = ()
    purged: tuple[UUID, ...] = ()
    kept: tuple[Kept, ...] = ()
    failed: tuple[Kept, ...] = ()
    """Those whose purge met an error; the next sweep goes on with it."""


def set_retention(context: Context, *, account_id: UUID, platform: str, retention_count: int) -> NodePlatform:
    """Set how many publications a platform keeps; the next sweep acts on it."""
    with context.catalog.writing() as session:
        row = find_platform(session, account_id, platform)
        row.retention_count = retention_count
        row.updated_at = context.clock.now()
        return row


def preview(context: Context, *, account_id: UUID, platform: str) -> rules.Plan:
    """Say what a sweep would do now, and do nothing."""
    with context.catalog.reading() as session:
        row = find_platform(session, account_id, platform)
        return _plan(session, row, context.clock.now())


def preview_by_id(context: Context, platform_id: UUID) -> rules.Plan:
    """Say what a sweep of any account's platform would do now."""
    with context.catalog.reading() as session:
        return _plan(session, session.get_one(NodePlatform, platform_id), context.clock.now())


def platforms_to_sweep(context: Context, *, account_id: UUID | None, platform: str | None) -> list[UUID]:
    """Return the platforms a sweep concerns: one of an account, all of an account, or all there are.

    Without an account a slug may be several platforms'; NotFound when it is none's.
    """
    with context.catalog.reading() as session:
        if platform is not None and account_id is not None:
            return [find_platform(session, account_id, platform).id]
        if platform is not None:
            found = find_platforms(session, platform)
            if not found:
                raise NotFound(f"no node platform {platform!r}", hint="see system_list_node_platforms")
            return [row.id for row in found]
        query = select(NodePlatform.id).order_by(NodePlatform.slug)
        if account_id is not None:
            query = query.where(NodePlatform.account_id == account_id)
        return list(session.scalars(query))


def retire(context: Context, platform_id: UUID, *, actor: str) -> tuple[tuple[UUID, ...], tuple[UUID, ...]]:
    """Retire what lies beyond the count, in one transaction; return what was retired and what is due for a purge."""
    with context.catalog.writing() as session:
        platform = lock_platform(session, platform_id)
        now = context.clock.now()
        plan = _plan(session, platform, now)
        for publication_id in plan.retire:
            publication = session.get_one(Publication, publication_id, with_for_update=True)
            publication.status = publication_rules.PUBLICATION.move("retire", Status(publication.status))
            publication.retired_at = now
            publication.purge_begun_at = None
            for kind in (Kind.RETIRED, Kind.RETENTION_SWEPT):
                history.record(session, kind, publication, actor=actor, at=now, action="retired")
        return plan.retire, plan.purge


def _plan(session: Session, platform: NodePlatform, now: datetime) -> rules.Plan:
    rows = session.scalars(
        select(Publication).where(
            Publication.node_platform_id == platform.id, Publication.status.in_([Status.PUBLISHED, Status.RETIRED])
        )
    )
    candidates = [
        rules.Candidate(
            row.id, Status(row.status), row.published_at, row.retired_at, row.pinned, row.published_sequence or 0
        )
        for row in rows
    ]
    return rules.plan(
        candidates,
        retention_count=platform.retention_count,
        default_id=platform.default_publication_id,
        in_use=(),
        now=now,
    )
