"""Deliveries onto the disk: those that arrive together share one transaction, and so one wait for the disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import String, Uuid, bindparam, select, text
from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.database import UtcDateTime
from bootpress.core.deliveries.budgets import Budget, lock
from bootpress.core.deliveries.models import Delivery
from bootpress.core.deliveries.payload import DeliveryPayload
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.errors import CatalogUnavailable, RateLimited
from bootpress.core.platforms.service import as_uuid

TRIES = 5
# As text, because SQLAlchemy compiles an INSERT with ON CONFLICT anew each time. Both databases speak it.
_INSERT = text(
    "INSERT INTO webhook_deliveries (id, account_id, webhook_id, source, actor, body, body_sha256, platform_slug,"
    " queue_id, oci_ref, git_sha, status, attempt_count, unacknowledged_launches, postponed_count, received_at,"
    " next_attempt_at)"
    " VALUES (:id, :account_id, :webhook_id, 'webhook', :actor, :body, :body_sha256, :platform_slug,"
    " coalesce((SELECT id FROM node_platforms WHERE account_id = :account_id AND slug = :platform_slug),"
    " (SELECT id FROM node_platforms WHERE account_id = :account_id AND id = :platform_id), :webhook_id),"
    " :oci_ref, :git_sha, 'received', 0, 0, 0, :now, :now)"
    " ON CONFLICT (webhook_id, body_sha256) WHERE status = 'received' DO NOTHING"
).bindparams(
    bindparam("id", type_=Uuid()),
    bindparam("account_id", type_=Uuid()),
    bindparam("webhook_id", type_=Uuid()),
    bindparam("platform_slug", type_=String()),
    bindparam("platform_id", type_=Uuid()),
    bindparam("git_sha", type_=String()),
    bindparam("now", type_=UtcDateTime()),
)
_STORED = select(Delivery.id).where(Delivery.id.in_(bindparam("ids", expanding=True)))
_WAITING = select(Delivery.id).where(
    Delivery.webhook_id == bindparam("its_webhook"),
    Delivery.body_sha256 == bindparam("its_sha256"),
    Delivery.status == DeliveryStatus.RECEIVED,
)
_COUNTED = text(
    "UPDATE webhooks SET received_count = received_count + :count, last_received_at = :now,"
    " stored_since = :since, stored_bytes = :spent WHERE id = :webhook_id"
).bindparams(
    bindparam("webhook_id", type_=Uuid()),
    bindparam("now", type_=UtcDateTime()),
    bindparam("since", type_=UtcDateTime()),
)


@dataclass(frozen=True, slots=True)
class VerifiedDelivery:
    """A POST that may come in: whose it is, its bytes and what they say."""

    webhook_id: UUID
    account_id: UUID
    label: str
    body: bytes
    announcement: DeliveryPayload


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """What became of a POST: a new delivery, or one whose processing has not begun."""

    delivery_id: UUID
    duplicate: bool


def store_deliveries(context: Context, arrivals: Sequence[VerifiedDelivery]) -> list[StoredDelivery | RateLimited]:
    """Store arrivals in one transaction; return a receipt for each, in their order.

    One that its webhook's daily budget has no room for gets RateLimited in its place; a duplicate stores nothing and
    needs none. Raises CatalogUnavailable.
    """
    now = context.clock.now()
    rows = [_row(arrival, now) for arrival in arrivals]
    # Whatever order they came in: two processes that store the same bodies wait for each other's.
    ordered = sorted(rows, key=lambda row: (row["webhook_id"], row["body_sha256"]))
    with context.catalog.transaction() as session:
        limit = context.limits.webhook_daily_bytes
        budgets = lock(session, {row["webhook_id"] for row in rows}, limit=limit, now=now)
        answers = _insert(session, ordered, budgets)
        for row in ordered:
            if row["id"] not in answers:
                answers[row["id"]] = _find(session, row, budgets[row["webhook_id"]], now)
        _count(session, [row for row in rows if isinstance(answers[row["id"]], StoredDelivery)], budgets, now)
    return [answers[row["id"]] for row in rows]


def _row(arrival: VerifiedDelivery, now: datetime) -> dict[str, Any]:
    said = arrival.announcement
    return {
        "id": uuid4(),
        "account_id": arrival.account_id,
        "webhook_id": arrival.webhook_id,
        "actor": f"webhook:{arrival.label}",
        "body": arrival.body,
        "body_sha256": hashlib.sha256(arrival.body).hexdigest(),
        "platform_slug": said.platform_slug,
        "platform_id": as_uuid(said.platform_slug),
        "oci_ref": said.oci_ref,
        "git_sha": said.git_sha,
        "now": now,
    }


def _insert(
    session: Session, ordered: Sequence[dict[str, Any]], budgets: Mapping[UUID, Budget]
) -> dict[UUID, StoredDelivery | RateLimited]:
    """Insert what fits in any case, were none of it a duplicate; return a receipt for each that was new."""
    foreseen = {webhook_id: replace(budget) for webhook_id, budget in budgets.items()}
    fitting = []
    for row in ordered:
        if foreseen[row["webhook_id"]].takes(len(row["body"])):
            foreseen[row["webhook_id"]].spend(len(row["body"]))
            fitting.append(row)
    if not fitting:
        return {}
    session.execute(_INSERT, fitting)
    stored = set(session.scalars(_STORED, {"ids": [row["id"] for row in fitting]}))
    for row in fitting:
        if row["id"] in stored:
            budgets[row["webhook_id"]].spend(len(row["body"]))
    return {one: StoredDelivery(one, duplicate=False) for one in stored}


def _count(session: Session, taken: Sequence[dict[str, Any]], budgets: Mapping[UUID, Budget], now: datetime) -> None:
    """Note how many came, and what is spent of each budget."""
    for webhook_id, count in sorted(Counter(row["webhook_id"] for row in taken).items()):
        budget = budgets[webhook_id]
        values = {"count": count, "now": now, "since": budget.since, "spent": budget.spent, "webhook_id": webhook_id}
        session.execute(_COUNTED, values)


def _find(session: Session, row: dict[str, Any], budget: Budget, now: datetime) -> StoredDelivery | RateLimited:
    """Return the delivery that waits with the same body; should it have begun meanwhile, ours is a new one."""
    for _ in range(TRIES):
        waiting = session.scalar(_WAITING, {"its_webhook": row["webhook_id"], "its_sha256": row["body_sha256"]})
        if waiting == row["id"]:
            budget.spend(len(row["body"]))
            return StoredDelivery(waiting, duplicate=False)
        if waiting is not None:
            return StoredDelivery(waiting, duplicate=True)
        if not budget.takes(len(row["body"])):
            return budget.refusal(now)
        session.execute(_INSERT, row)
    raise CatalogUnavailable("the delivery could not be stored", hint="send it again")
