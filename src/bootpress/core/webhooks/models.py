"""Table of webhooks."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Row


class Webhook(Row):
    """One pipeline's bell: a URL that holds its id, and a secret."""

    __tablename__ = "webhooks"
    __table_args__ = (
        Index(
            "one_webhook_per_label",
            "account_id",
            "label_key",
            unique=True,
            sqlite_where=text("status != 'revoked'"),
            postgresql_where=text("status != 'revoked'"),
        ),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    label: Mapped[str]
    label_key: Mapped[str]
    """The label trimmed and case-folded: what labels are compared by."""
    status: Mapped[str]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    secret_preview: Mapped[str]
    previous_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    previous_secret_until: Mapped[datetime | None]
    received_count: Mapped[int] = mapped_column(default=0)
    last_received_at: Mapped[datetime | None]
    stored_since: Mapped[datetime | None] = mapped_column(index=True)
    """When the present day of its budget began: with the first delivery after the day before was over."""
    stored_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    """What was stored in that day, as `budgets` counts it."""
    last_rotated_at: Mapped[datetime | None]
    unconfirmed_since: Mapped[datetime | None]
    """Since when the forge that is to have the present secret has not confirmed it; null where none is, or it has."""
    created_at: Mapped[datetime]
