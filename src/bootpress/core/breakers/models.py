"""The table of circuit breakers: a row per account and registry host that fails; none for a host that answers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Row


class CircuitBreaker(Row):
    """How one account finds one registry host, in its canonical spelling; a success deletes the row."""

    __tablename__ = "circuit_breakers"
    __table_args__ = (UniqueConstraint("account_id", "host"),)

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    host: Mapped[str]
    failures: Mapped[int]
    """How many requests in a row met a host that does not answer."""
    openings: Mapped[int]
    """How often in a row it opened; each pause is twice as long as the one before."""
    reason: Mapped[str]
    """What the last failure was."""
    retry_at: Mapped[datetime | None]
    """Until when nobody asks; null while it is not open."""
    probe_attempt_id: Mapped[UUID | None]
    """The attempt that may ask after a pause, while everybody else waits."""
    probe_until: Mapped[datetime | None]
    failing_since: Mapped[datetime]
    """The first failure of the present series; time in which nobody asked begins a new one."""
    failed_at: Mapped[datetime] = mapped_column(index=True)
