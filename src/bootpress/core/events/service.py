"""Record events in the transaction that makes them true, and hand them to listeners afterwards."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.errors import Rejected
from bootpress.core.events.models import Event, OutboxEntry
from bootpress.core.pagination import page
from bootpress.core.pieces import in_pieces
from bootpress.core.ports import OutgoingEvent

SOURCE = "bootpress"
EMIT_AT_ONCE = 200
logger = logging.getLogger(__name__)


class Severity(StrEnum):
    """How much attention an event deserves."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Kind(StrEnum):
    """Event kinds (docs/reference/contract.md#event-kinds)."""

    PUBLISHED = "system.disk_image_published"
    PUBLISH_FAILED = "system.disk_image_publish_failed"
    RETENTION_SWEPT = "system.disk_image_retention_swept"
    RETIRED = "system.disk_image_retired"
    PROMOTED = "system.disk_image_promoted"
    RESTORED = "system.disk_image_restored"
    REANNOUNCED = "system.disk_image_reannounced"
    WEBHOOK_SECRET_ROTATED = "system.disk_image_webhook_secret_rotated"  # noqa: S105 - the name of an event
    WEBHOOK_REVOKED = "system.disk_image_webhook_revoked"
    BUILD_DISPATCHED = "system.disk_image_build_dispatched"
    BUILD_STUCK = "system.disk_image_build_stuck"
    BUILD_RECOVERED = "system.disk_image_build_recovered"


SEVERITIES: Mapping[Kind, Severity] = {
    Kind.PUBLISH_FAILED: Severity.HIGH,
    Kind.PROMOTED: Severity.MEDIUM,
    Kind.RESTORED: Severity.MEDIUM,
    Kind.WEBHOOK_SECRET_ROTATED: Severity.MEDIUM,
    Kind.WEBHOOK_REVOKED: Severity.MEDIUM,
    Kind.BUILD_STUCK: Severity.HIGH,
    Kind.BUILD_RECOVERED: Severity.MEDIUM,
}


def record(
    session: Session,
    kind: Kind,
    *,
    account_id: UUID,
    actor: str,
    at: datetime,
    payload: Mapping[str, Any],
    node_platform_id: UUID | None = None,
) -> UUID:
    """Add an event and its place in the outbox to the running transaction; return the event's id."""
    event = Event(
        id=uuid4(),
        account_id=account_id,
        node_platform_id=node_platform_id,
        kind=kind,
        severity=SEVERITIES.get(kind, Severity.LOW),
        source=SOURCE,
        actor=actor,
        payload=dict(payload),
        occurred_at=at,
    )
    session.add(event)
    session.flush()
    session.add(OutboxEntry(event_id=event.id, occurred_at=at))
    return event.id


@dataclass(frozen=True, slots=True)
class Happened:
    """One of many events of a moment."""

    kind: Kind
    account_id: UUID
    node_platform_id: UUID
    payload: Mapping[str, Any]


def record_all(session: Session, happened: Sequence[Happened], *, actor: str, at: datetime) -> None:
    """Add many events, in this order, and their places in the outbox, by two statements."""
    rows = [
        {
            "id": uuid4(),
            "account_id": one.account_id,
            "node_platform_id": one.node_platform_id,
            "kind": one.kind,
            "severity": SEVERITIES.get(one.kind, Severity.LOW),
            "source": SOURCE,
            "actor": actor,
            "payload": dict(one.payload),
            "occurred_at": at,
        }
        for one in happened
    ]
    if rows:
        session.execute(insert(Event), rows)
        session.execute(insert(OutboxEntry), [{"event_id": row["id"], "occurred_at": at} for row in rows])


def emit_pending(context: Context, *, limit: int = EMIT_AT_ONCE) -> int:
    """Hand events from the outbox to listeners, oldest first and in one call; return how many.

    Events leave the outbox only after the sink took them, so a crash in between sends them twice, under their ids. One
    that the sink will never take leaves it too, and is logged: it holds up no other, and stays in `recent_events`.
    Raises OrchestratorUnavailable when the sink is away.
    """
    with context.catalog.read_session() as session:
        waiting = session.scalars(
            select(Event).join(OutboxEntry, OutboxEntry.event_id == Event.id).order_by(Event.sequence).limit(limit)
        ).all()
    if waiting:
        _hand_over(context, waiting)
    return len(waiting)


def _hand_over(context: Context, events: Sequence[Event]) -> None:
    try:
        context.event_sink.emit(
            [OutgoingEvent(one.id, one.kind, one.account_id, one.occurred_at, one.payload) for one in events]
        )
    except Rejected as error:
        if len(events) > 1:
            middle = len(events) // 2
            _hand_over(context, events[:middle])
            _hand_over(context, events[middle:])
            return
        logger.error("event %s (%s) reaches no listener: %s", events[0].id, events[0].kind, error)  # noqa: TRY400 - the message says all
    for piece in in_pieces(context.catalog, events):
        with context.catalog.transaction() as session:
            session.execute(delete(OutboxEntry).where(OutboxEntry.event_id.in_([one.id for one in piece])))


def recent(
    context: Context,
    *,
    account_id: UUID,
    limit: int,
    cursor: str | None = None,
    kind_prefix: str | None = None,
    since: datetime | None = None,
    node_platform_id: UUID | None = None,
) -> tuple[list[Event], str | None]:
    """Return a page of an account's events, newest first, and the next cursor."""
    query = select(Event).where(Event.account_id == account_id)
    if kind_prefix is not None:
        query = query.where(Event.kind.startswith(kind_prefix, autoescape=True))
    if since is not None:
        query = query.where(Event.occurred_at >= since)
    if node_platform_id is not None:
        query = query.where(Event.node_platform_id == node_platform_id)
    with context.catalog.read_session() as session:
        return page(session, query, by=(Event.sequence,), limit=limit, cursor=cursor)
