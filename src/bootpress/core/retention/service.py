"""Retention of a platform: set the count, preview, sweep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.errors import NotFound
from bootpress.core.events.service import Kind
from bootpress.core.pieces import ROWS, pause
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import find_platform, find_platforms, lock_platform
from bootpress.core.publications import events
from bootpress.core.publications import rules as publication_rules
from bootpress.core.publications.models import Publication
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.retention import rules

RETIRED_AT_ONCE = ROWS // 5
"""Publications retired in one transaction: of each its own row, two events, and their places in the outbox."""


def set_retention(context: Context, *, account_id: UUID, platform: str, retention_count: int) -> NodePlatform:
    """Set how many publications a platform keeps; the next sweep acts on it."""
    with context.catalog.transaction() as session:
        row = find_platform(session, account_id, platform)
        row.retention_count = retention_count
        row.updated_at = context.clock.now()
        return row


def preview(context: Context, *, account_id: UUID, platform: str) -> rules.Plan:
    """Say what a sweep would do now, and do nothing."""
    with context.catalog.read_session() as session:
        row = find_platform(session, account_id, platform)
        return _plan(session, row, context.clock.now())


def preview_by_id(context: Context, platform_id: UUID) -> rules.Plan:
    """Say what a sweep of any account's platform would do now."""
    with context.catalog.read_session() as session:
        return _plan(session, session.get_one(NodePlatform, platform_id), context.clock.now())


def platforms_to_sweep(context: Context, *, account_id: UUID | None, platform: str | None) -> list[UUID]:
    """Return the platforms a sweep concerns: one of an account, all of an account, or all there are.

    Without an account a slug may be several platforms'; NotFound when it is none's.
    """
    with context.catalog.read_session() as session:
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


def retire(context: Context, platform_id: UUID, *, actor: str) -> tuple[list[UUID], Iterator[tuple[UUID, str]]]:
    """Retire what lies beyond the count, newest first and in pieces, each judged anew.

    Returns what was retired, and what is due for a purge: publications and their repositories, read page by page. A
    sweep that ends between two pieces leaves the rest to the next one.
    """
    retired: list[UUID] = []
    while piece := _retire_some(context, platform_id, actor=actor):
        retired += piece
        if len(piece) == RETIRED_AT_ONCE:
            pause(context.catalog)
    return retired, _due(context, platform_id)


def _retire_some(context: Context, platform_id: UUID, *, actor: str) -> list[UUID]:
    with context.catalog.read_session() as session:  # where nothing is to be retired, no writer waits
        if not _beyond(session, session.get_one(NodePlatform, platform_id)):
            return []
    with context.catalog.transaction() as session:
        platform = lock_platform(session, platform_id)
        now = context.clock.now()
        chosen = rules.plan(
            [*_newest(session, platform), *_beyond(session, platform)],
            retention_count=platform.retention_count,
            default_id=platform.default_publication_id,
            in_use=(),
            now=now,
        ).retire
        # What was pinned since it was read is not locked.
        standing = (Publication.status == Status.PUBLISHED, Publication.pinned.is_(False))
        query = select(Publication).where(Publication.id.in_(chosen), *standing).order_by(Publication.id)
        locked = {row.id: row for row in session.scalars(query.with_for_update())}
        retired = [locked[one] for one in chosen if one in locked]
        for publication in retired:
            publication.status = publication_rules.PUBLICATION.transition("retire", Status(publication.status))
            publication.retired_at = now
            publication.purge_begun_at = None
        kinds = (Kind.RETIRED, Kind.RETENTION_SWEPT)
        events.record_all(session, kinds, retired, actor=actor, at=now, action="retired")
        return [one.id for one in retired]


def _due(context: Context, platform_id: UUID) -> Iterator[tuple[UUID, str]]:
    """Yield a platform's publications that are due for a purge, longest retired first, each with its repository."""
    last: tuple[datetime, UUID] | None = None
    while page := _due_page(context, platform_id, last):
        for publication_id, repository, retired_at in page:
            last = retired_at, publication_id
            yield publication_id, repository


def _due_page(
    context: Context, platform_id: UUID, last: tuple[datetime, UUID] | None
) -> Sequence[tuple[UUID, str, datetime]]:
    later: ColumnElement[bool] = true()
    if last is not None:
        retired_at, publication_id = last
        same = (Publication.retired_at == retired_at) & (Publication.id > publication_id)
        later = (Publication.retired_at > retired_at) | same
    with context.catalog.read_session() as session:
        default_id = session.get_one(NodePlatform, platform_id).default_publication_id
        query = select(Publication.id, Publication.repository, Publication.retired_at).where(
            Publication.node_platform_id == platform_id,
            Publication.status == Status.RETIRED,
            Publication.retired_at <= context.clock.now() - rules.GRACE,
            Publication.pinned.is_(False),
            Publication.id.is_distinct_from(default_id),
            later,
        )
        rows = session.execute(query.order_by(Publication.retired_at, Publication.id).limit(ROWS))
        return [(row[0], row[1], row[2]) for row in rows if row[2] is not None]


_CANDIDATE = select(
    Publication.id,
    Publication.status,
    Publication.published_at,
    Publication.retired_at,
    Publication.pinned,
    Publication.published_sequence,
)
_NEWEST_FIRST = (
    Publication.published_sequence.desc().nulls_last(),
    Publication.published_at.desc(),
    Publication.id.desc(),
)


def _published(platform: NodePlatform) -> tuple[ColumnElement[bool], ...]:
    return (
        Publication.node_platform_id == platform.id,
        Publication.status == Status.PUBLISHED,
        Publication.published_at.is_not(None),
    )


def _newest(session: Session, platform: NodePlatform) -> list[rules.Candidate]:
    """Return those that the count keeps."""
    query = _CANDIDATE.where(*_published(platform)).order_by(*_NEWEST_FIRST).limit(platform.retention_count)
    return _candidates(session, query)


def _beyond(session: Session, platform: NodePlatform) -> list[rules.Candidate]:
    """Return the newest of those that may be retired, a piece of them."""
    newest = select(Publication.id).where(*_published(platform)).order_by(*_NEWEST_FIRST)
    query = _CANDIDATE.where(
        *_published(platform),
        Publication.pinned.is_(False),
        Publication.id.is_distinct_from(platform.default_publication_id),
        Publication.id.not_in(newest.limit(platform.retention_count)),
    )
    return _candidates(session, query.order_by(*_NEWEST_FIRST).limit(RETIRED_AT_ONCE))


def _plan(session: Session, platform: NodePlatform, now: datetime) -> rules.Plan:
    standing = Publication.status.in_([Status.PUBLISHED, Status.RETIRED])
    query = _CANDIDATE.where(Publication.node_platform_id == platform.id, standing)
    return rules.plan(
        _candidates(session, query),
        retention_count=platform.retention_count,
        default_id=platform.default_publication_id,
        in_use=(),
        now=now,
    )


def _candidates(session: Session, query: Select[Any]) -> list[rules.Candidate]:
    return [
        rules.Candidate(publication_id, Status(status), published_at, retired_at, pinned, sequence or 0)
        for publication_id, status, published_at, retired_at, pinned, sequence in session.execute(query)
    ]
