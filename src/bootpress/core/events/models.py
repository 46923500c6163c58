"""Tables of events and of those that still have to be handed to listeners."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Base


class Event(Base):
    """Something that happened to an account's images; written in the transaction that made it happen."""

    __tablename__ = "events"
    __table_args__ = (
        Index("events_by_account", "account_id", "sequence"),
        Index("events_by_kind", "account_id", "kind", "occurred_at", "sequence"),
    )

    sequence: Mapped[int] = mapped_column(BigInteger().with_variant(Integer(), "sqlite"), primary_key=True)
    """The order events are listed in: several may share a moment."""
    id: Mapped[UUID] = mapped_column(unique=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    node_platform_id: Mapped[UUID | None]
    kind: Mapped[str]
    severity: Mapped[str]
    source: Mapped[str]
    actor: Mapped[str]
    payload: Mapped[dict[str, Any]]
    occurred_at: Mapped[datetime]


class OutboxEntry(Base):
    """The outbox: an event that listeners have not been handed yet."""

    __tablename__ = "event_outbox"

    event_id: Mapped[UUID] = mapped_column(ForeignKey("events.id"), primary_key=True)
    occurred_at: Mapped[datetime] = mapped_column(index=True)
