"""The table of node platforms."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Row


class NodePlatform(Row):
    """One kind of machine: where its images lie, whom it trusts, and what it boots by default."""

    __tablename__ = "node_platforms"
    __table_args__ = (UniqueConstraint("account_id", "slug"),)

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), index=True)
    slug: Mapped[str]
    name: Mapped[str]
    arch: Mapped[str]
    oci_repository: Mapped[str]
    trust: Mapped[dict[str, Any]]
    retention_count: Mapped[int]
    build_timeout_minutes: Mapped[int]
    boot_check: Mapped[str]
    registry_name: Mapped[str | None] = mapped_column("registry")
    """Name of the registry connection; the account's connection to that host, or none, where this is null."""
    forge_name: Mapped[str | None] = mapped_column("forge")
    disk_image_oci_ref: Mapped[str | None]
    disk_image_publication_status: Mapped[str | None]
    disk_image_publication_error: Mapped[str | None]
    default_publication_id: Mapped[UUID | None]
    """Without a foreign key: it would close a circle that SQLite cannot add afterwards."""
    publication_sequence: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """The last number that was given to a publication of this platform."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
