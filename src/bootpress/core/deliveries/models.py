"""Tables of deliveries: the stored announcement, and the attempts to process it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Row

UNFINISHED: Final = "status IN ('received', 'processing')"
"""The condition of a partial index; only queries that say it in these words use the index."""


class Delivery(Row):
    """One announcement of an artifact, as it arrived; without a webhook if an operator or a retry made it."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index(
            "one_waiting_delivery_per_body",
            "webhook_id",
            "body_sha256",
            unique=True,
            sqlite_where=text("status = 'received'"),
            postgresql_where=text("status = 'received'"),
        ),
        Index("deliveries_by_status", "status", "next_attempt_at"),
        Index("deliveries_by_account", "account_id", "received_at"),
        Index("deliveries_by_end", "account_id", "webhook_id", "finished_at", "id"),
        Index(
            "unfinished_deliveries_by_queue",
            "queue_id",
            "status",
            "next_attempt_at",
            sqlite_where=text(UNFINISHED),
            postgresql_where=text(UNFINISHED),
        ),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    webhook_id: Mapped[UUID | None] = mapped_column(ForeignKey("webhooks.id"))
    source: Mapped[str]
    """`webhook`, `manual`, `retry`, or `recovered`: found in the registry, its webhook never rang."""
    actor: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    body_sha256: Mapped[str]
    platform_slug: Mapped[str]
    """What the announcement calls the platform: its slug, or its id where an operator named it so."""
    node_platform_id: Mapped[UUID | None] = mapped_column(ForeignKey("node_platforms.id"))
    """The platform that the name stood for when a publication was claimed, or that an operator meant: names move."""
    queue_id: Mapped[UUID | None]
    """Who shares places with it first: its platform, or its webhook where there was no such platform when it came."""
    build_id: Mapped[UUID | None]
    """The build that this is the callback of; without a foreign key, which SQLite cannot add later."""
    oci_ref: Mapped[str]
    git_sha: Mapped[str | None]
    status: Mapped[str]
    current_attempt_id: Mapped[UUID | None]
    attempt_count: Mapped[int] = mapped_column(default=0)
    """How many attempts began."""
    unacknowledged_launches: Mapped[int] = mapped_column(default=0)
    """How many launches in a row were not followed by a begin, the present one included."""
    postponed_count: Mapped[int] = mapped_column(default=0)
    """How many attempts of the present series met something that was away."""
    retry_window_started_at: Mapped[datetime | None]
    """When the present series of attempts began; an outage of ours ends a series."""
    last_attempt_ended_at: Mapped[datetime | None]
    """When the last attempt before the present one was postponed, or was last heard of."""
    publication_id: Mapped[UUID | None] = mapped_column(ForeignKey("publications.id"), index=True)
    error_message: Mapped[str | None]
    received_at: Mapped[datetime]
    next_attempt_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class Attempt(Row):
    """One try to process a delivery; whoever holds the delivery's current attempt may decide about it."""

    __tablename__ = "attempts"
    __table_args__ = (Index("attempts_by_status", "status", "lease_until"),)

    delivery_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_deliveries.id"), index=True)
    batch_id: Mapped[UUID | None] = mapped_column(index=True)
    status: Mapped[str]
    lease_until: Mapped[datetime]
    flow_run_id: Mapped[UUID | None]
    publication_id: Mapped[UUID | None] = mapped_column(ForeignKey("publications.id"), index=True)
    repository: Mapped[str | None]
    """The repository that it reads the image from, since it claimed a publication."""
    evidence: Mapped[dict[str, Any]]
    """What each step found, by step: `manifest`, `signature`, `blobs`."""
    outcome: Mapped[str | None]
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
