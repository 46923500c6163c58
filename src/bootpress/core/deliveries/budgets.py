"""Daily budgets: how many bytes one webhook may have stored in 24 hours. In the catalog: every process counts alike.

A rate bounds a moment and a budget bounds a disk: at 50 deliveries a second, bodies of 64 KiB are 283 GB a day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from bootpress.core.database import Database
from bootpress.core.deliveries.rules import MAX_LEASE_WITH_CLOCK_SKEW
from bootpress.core.errors import RateLimited
from bootpress.core.webhooks.models import Webhook

DAY = timedelta(days=1)
ROW_BYTES = 16 * 1024
"""What a delivery counts beside its body: measured are 2.5 KB in the catalog and 13.6 KB of its run in Prefect."""
ARTIFACT_BYTES = 1024
"""What a row of an image's content counts: measured are 0.7 KB in the catalog, and 1.4 KB with the longest names."""
ARTIFACTS_FREE = 16
"""Rows of an image that its delivery counts for; an index may have 32,000."""
NEAR = 0.8
"""From which share of its budget on a webhook is near it."""


@dataclass(slots=True)
class Budget:
    """What one webhook has stored in its present day, which begins with the day's first delivery; sizes in bytes."""

    webhook_id: UUID
    since: datetime
    spent: int
    limit: int

    @classmethod
    def at(cls, webhook_id: UUID, since: datetime | None, spent: int, *, limit: int, now: datetime) -> Budget:
        """Return the budget as it is now: a day that is over, or that a wrong clock began, counts no more."""
        if since is None or not -MAX_LEASE_WITH_CLOCK_SKEW <= now - since < DAY:
            return cls(webhook_id, now, 0, limit)
        return cls(webhook_id, since, spent, limit)

    def takes(self, size: int) -> bool:
        """Tell whether a body of `size` bytes still fits."""
        return self.spent + size + ROW_BYTES <= self.limit

    def spend(self, size: int) -> None:
        """Count a delivery with a body of `size` bytes."""
        self.spent += size + ROW_BYTES

    def refusal(self, now: datetime) -> RateLimited:
        """Return the error for a delivery that does not fit; it says when the next day begins."""
        return RateLimited(
            f"this webhook has stored {self.spent} bytes since {self.since:%Y-%m-%d %H:%M} UTC,"
            f" and its daily budget is {self.limit} bytes",
            retry_after=(self.since + DAY - now).total_seconds(),
            hint="send less, or have the operator raise BOOTPRESS_WEBHOOK_DAILY_MIB",
        )


@dataclass(frozen=True, slots=True)
class Near:
    """A webhook that is near its budget, or has used it up."""

    webhook_id: UUID
    label: str
    spent: int


def lock(session: Session, webhook_ids: Iterable[UUID], *, limit: int, now: datetime) -> dict[UUID, Budget]:
    """Lock webhooks in the running transaction, in the order of their ids, and return the budget of each."""
    query = (
        select(Webhook.id, Webhook.stored_since, Webhook.stored_bytes)
        .where(Webhook.id.in_(sorted(webhook_ids)))
        .order_by(Webhook.id)
        .with_for_update(key_share=True)  # of their own rows: deliveries may go on to refer to them
    )
    return {
        row.id: Budget.at(row.id, row.stored_since, row.stored_bytes, limit=limit, now=now)
        for row in session.execute(query)
    }


def charge(session: Session, webhook_id: UUID | None, *, artifacts: int) -> None:
    """Count rows of an image's content, beyond those that are free, to whoever announced it; they are stored anyway.

    A day that is over is none of the budget's any more: the next delivery begins another one.
    """
    if webhook_id is not None and artifacts > 0:
        spent = Webhook.stored_bytes + artifacts * ARTIFACT_BYTES
        session.execute(update(Webhook).where(Webhook.id == webhook_id).values(stored_bytes=spent))


def near(catalog: Database, *, limit: int, now: datetime) -> list[Near]:
    """Return the webhooks of all accounts that have stored at least four fifths of their budget today, most first."""
    query = select(Webhook.id, Webhook.label, Webhook.stored_bytes).where(
        Webhook.stored_bytes >= int(limit * NEAR),
        Webhook.stored_since > now - DAY,
        Webhook.stored_since <= now + MAX_LEASE_WITH_CLOCK_SKEW,
    )
    with catalog.read_session() as session:
        return [Near(*row) for row in session.execute(query.order_by(Webhook.stored_bytes.desc(), Webhook.id))]
