"""What deliveries wait for, in an operator's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from bootpress.core.breakers import service as breakers
from bootpress.core.deliveries import rules
from bootpress.core.deliveries.leases import is_live
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.references import canonical_host, parse_repository


def reasons(session: Session, account_id: UUID, rows: Sequence[Delivery], now: datetime) -> dict[UUID, str]:
    """Return what each of an account's deliveries waits for, by its id; nothing of those that wait for nothing."""
    waiting = _waiting(session, [row for row in rows if row.status in rules.UNFINISHED], now)
    hosts = _hosts(session, {row.queue_id for row in waiting if row.queue_id})
    troubles = {trouble.host: trouble for trouble in breakers.troubles(session, now, account_id)}
    found: dict[UUID, str] = {}
    for row in waiting:
        host = hosts.get(row.queue_id, "") if row.queue_id else ""
        trouble = troubles.get(canonical_host(host))
        found[row.id] = str(replace(trouble, host=host)) if trouble else _reason(row, now)
    return found


def _waiting(session: Session, rows: Sequence[Delivery], now: datetime) -> list[Delivery]:
    current = select(Attempt).where(Attempt.id.in_([row.current_attempt_id for row in rows]))
    held = {attempt.id for attempt in session.scalars(current) if is_live(attempt, now)}
    return [row for row in rows if row.current_attempt_id not in held]


def _hosts(session: Session, queue_ids: set[UUID]) -> dict[UUID, str]:
    query = select(NodePlatform.id, NodePlatform.oci_repository).where(NodePlatform.id.in_(queue_ids))
    return {platform_id: parse_repository(repository).host for platform_id, repository in session.execute(query)}


def _reason(row: Delivery, now: datetime) -> str:
    if row.status == DeliveryStatus.PROCESSING and now < row.next_attempt_at <= now + rules.MAX_LEASE_WITH_CLOCK_SKEW:
        return f"the next try at {row.next_attempt_at:%H:%M:%S} UTC"
    return "a place among the deliveries in flight"
