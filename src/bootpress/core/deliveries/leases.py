"""Leases in the database: which attempts are believed to live, and which deliveries nobody works on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session, aliased

from bootpress.core.context import Context
from bootpress.core.deliveries import rules
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.deliveries.states import AttemptStatus, DeliveryStatus
from bootpress.core.pieces import ROWS, in_pieces

BATCH_SIZE = ROWS // 3
"""Deliveries shortened in one transaction: each is changed twice, and its attempt."""


def is_live(attempt: Attempt, now: datetime) -> bool:
    """Tell whether an attempt is under way, as far as its lease says."""
    return attempt.status != AttemptStatus.ENDED and now < attempt.lease_until <= now + rules.MAX_LEASE_WITH_CLOCK_SKEW


def live_condition(attempt: type[Attempt], now: datetime) -> ColumnElement[bool]:
    """Return `is_live` as a condition."""
    ended = attempt.status == AttemptStatus.ENDED
    return ~ended & (attempt.lease_until > now) & (attempt.lease_until <= now + rules.MAX_LEASE_WITH_CLOCK_SKEW)


def due_condition(now: datetime) -> ColumnElement[bool]:
    """Return the condition of deliveries that may be launched: unfinished, not postponed, held by no live attempt."""
    postponed = (Delivery.status == DeliveryStatus.PROCESSING) & (
        (Delivery.next_attempt_at > now) & (Delivery.next_attempt_at <= now + rules.MAX_LEASE_WITH_CLOCK_SKEW)
    )
    return Delivery.status.in_(rules.UNFINISHED) & ~postponed & ~is_held(now)


def is_held(now: datetime) -> ColumnElement[bool]:
    """Return the condition of deliveries that a live attempt holds."""
    held = aliased(Attempt)
    return select(held.id).where(held.id == Delivery.current_attempt_id, live_condition(held, now)).exists()


def lock_due(session: Session, now: datetime, *conditions: ColumnElement[bool], limit: int) -> list[Delivery]:
    """Lock due deliveries in the running transaction, oldest first; those that others have locked are left to them."""
    query = (
        select(Delivery).where(due_condition(now), *conditions).order_by(Delivery.received_at, Delivery.id).limit(limit)
    )
    locked = session.scalars(query.with_for_update(skip_locked=True)).all()
    return _still_due(session, locked, now)


def shorten_leases_after_restart(context: Context) -> None:
    """Forget what a predecessor waited for: what was launched or postponed has half a minute left.

    Its worker is gone, and with it whatever was launched and not begun. An old run that begins all the same finds that
    another attempt holds its delivery. A pause that a registry asked for is cut short too: should it still not want us,
    it asks again. Raises CatalogUnavailable; what is done twice is as if it were done once.
    """
    soon = context.clock.now() + rules.LEASE
    unfinished = select(Delivery.id).where(Delivery.status.in_(rules.UNFINISHED)).order_by(Delivery.id)
    with context.catalog.read_session() as session:
        ids = session.scalars(unfinished).all()
    for piece in in_pieces(context.catalog, ids, size=BATCH_SIZE):
        with context.catalog.transaction() as session:
            # Deliveries before their attempts, as everybody locks them, and only attempts of those that are locked.
            locked = session.scalars(unfinished.where(Delivery.id.in_(piece)).with_for_update()).all()
            _shorten(session, locked, soon)


def _shorten(session: Session, delivery_ids: Sequence[UUID], soon: datetime) -> None:
    launching = update(Attempt).where(Attempt.delivery_id.in_(delivery_ids), Attempt.status == AttemptStatus.LAUNCHING)
    session.execute(launching.where(Attempt.lease_until > soon).values(lease_until=soon))
    locked = update(Delivery).where(Delivery.id.in_(delivery_ids))
    session.execute(locked.values(unacknowledged_launches=0))
    session.execute(locked.where(Delivery.next_attempt_at > soon).values(next_attempt_at=soon))


def _still_due(session: Session, locked: Sequence[Delivery], now: datetime) -> list[Delivery]:
    # PostgreSQL looks for the attempts with the eyes of before the lock: one that another relay has just made is not
    # seen by the query that locks, and is seen by this one.
    current = select(Attempt).where(Attempt.id.in_([delivery.current_attempt_id for delivery in locked]))
    held = {attempt.id for attempt in session.scalars(current) if is_live(attempt, now)}
    return [delivery for delivery in locked if delivery.current_attempt_id not in held]
