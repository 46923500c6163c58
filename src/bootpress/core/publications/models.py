"""Tables of publications and the content each consists of."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Row


class Publication(Row):
    """A digest announced for a platform, and what was proven of it."""

    __tablename__ = "publications"
    __table_args__ = (
        UniqueConstraint("node_platform_id", "oci_digest"),
        Index("publications_by_sequence", "node_platform_id", "sequence", "created_at", "id"),
        Index("publications_by_digest", "oci_digest", "repository"),
        Index("publications_by_place", "repository"),
        Index("publications_by_retention", "node_platform_id", "status", "published_sequence", "published_at", "id"),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    node_platform_id: Mapped[UUID] = mapped_column(ForeignKey("node_platforms.id"))
    repository: Mapped[str]
    """The repository it was verified in: a platform's may change later."""
    sequence: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """The order in which a platform's publications were made: a clock may be set back."""
    published_sequence: Mapped[int | None] = mapped_column(BigInteger)
    """The order in which they were published the last time, counted on from the same number of the platform's."""
    oci_digest: Mapped[str]
    oci_ref: Mapped[str]
    status: Mapped[str]
    arch: Mapped[str | None]
    git_sha: Mapped[str | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    cosign_verified: Mapped[bool] = mapped_column(default=False)
    signer: Mapped[dict[str, Any] | None]
    trust_sha256: Mapped[str | None]
    """Fingerprint of the trust policy that the signature was verified under; null of what was published before 0004."""
    trusted_root_sha256: Mapped[str | None]
    """Fingerprint of that policy's trusted root; null where it names keys."""
    sbom: Mapped[dict[str, Any] | None]
    claims: Mapped[dict[str, Any]]
    """What the announcement said besides, as it said it."""
    pinned: Mapped[bool] = mapped_column(default=False)
    current_attempt_id: Mapped[UUID | None]
    proving_attempt_id: Mapped[UUID | None]
    """The attempt whose evidence it was published on; a later one that fails takes nothing from it."""
    attempt_count: Mapped[int] = mapped_column(default=0)
    error_message: Mapped[str | None]
    created_at: Mapped[datetime]
    verified_at: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    purge_begun_at: Mapped[datetime | None]
    purged_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Artifact(Row):
    """One manifest, config or layer of a publication, as its verified manifest describes it; size in bytes."""

    __tablename__ = "publication_artifacts"
    __table_args__ = (
        UniqueConstraint("publication_id", "manifest_digest", "digest", "title"),
        Index("artifacts_by_digest", "digest"),
    )

    publication_id: Mapped[UUID] = mapped_column(ForeignKey("publications.id"), index=True)
    role: Mapped[str]
    """`manifest`, `config` or `layer`."""
    manifest_digest: Mapped[str]
    """The manifest that names it; of a manifest, its own digest."""
    digest: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    architecture: Mapped[str | None]
    title: Mapped[str] = mapped_column(default="")
