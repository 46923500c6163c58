"""Table of CI workers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Row


class CiWorker(Row):
    """What a label stands for: a build repository on a forge, its webhook, its signing key, its runner."""

    __tablename__ = "ci_workers"
    __table_args__ = (
        Index(
            "one_worker_per_label",
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
    forge_name: Mapped[str] = mapped_column("forge")
    """Name of the forge connection."""
    repo: Mapped[str | None]
    """`owner/name`; none for a runner of a whole installation."""
    webhook_id: Mapped[UUID | None] = mapped_column(ForeignKey("webhooks.id"))
    read_token_id: Mapped[UUID | None] = mapped_column(ForeignKey("api_tokens.id"))
    public_key: Mapped[str | None]
    """PEM of the key that the repository signs with, where we made it."""
    unconfirmed_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The private key, sealed, until the forge has confirmed that it has it."""
    labels: Mapped[list[str]]
    """Labels that a runner which we run is registered with."""
    runner_host: Mapped[str | None]
    container_id: Mapped[str | None]
    runner_id: Mapped[str | None]
    """What the forge calls the runner that we run."""
    last_seen_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
