"""The table of deletion plans: what a purge deletes from a registry, one row per manifest, in order."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Row


class DeletionStep(Row):
    """One manifest to delete for a publication; written before the first delete is sent."""

    __tablename__ = "deletion_steps"
    __table_args__ = (UniqueConstraint("publication_id", "digest"),)

    publication_id: Mapped[UUID] = mapped_column(ForeignKey("publications.id"), index=True)
    position: Mapped[int]
    repository: Mapped[str]
    digest: Mapped[str] = mapped_column(index=True)
    role: Mapped[str]
    """`subject`, `child`, `referrer`, `fallback`; of what was attached and names no image, the suffix of its tag; of
    what was attached and is too large to be read, `unread`."""
    subject: Mapped[str] = mapped_column(index=True)
    """The digest that it hangs on: who needs that, needs this too; of a subject or child, its own."""
    status: Mapped[str]
    because: Mapped[str | None]
    updated_at: Mapped[datetime]
