"""Tables of builds, and of the workflow runs that somebody listed."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Row


class Build(Row):
    """One dispatch of a build workflow, and what came of it."""

    __tablename__ = "builds"
    __table_args__ = (
        Index("builds_by_status", "status", "account_id"),
        Index("builds_by_account", "account_id", "created_at"),
        Index("builds_by_repository", "account_id", "repo", "created_at"),
        Index(
            "unreported_builds",
            "finished_at",
            sqlite_where=text("reported_at IS NULL"),
            postgresql_where=text("reported_at IS NULL"),
        ),
    )

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    actor: Mapped[str]
    node_platform_id: Mapped[UUID | None] = mapped_column(ForeignKey("node_platforms.id"))
    platform_slug: Mapped[str | None]
    """What the dispatch called the platform, known or not."""
    forge_name: Mapped[str] = mapped_column("forge")
    repo: Mapped[str]
    workflow: Mapped[str]
    ref: Mapped[str]
    dispatch_id: Mapped[str] = mapped_column(unique=True)
    """What we send along, so that run and callback can be told from others."""
    run_id: Mapped[str | None]
    run_url: Mapped[str | None]
    head_sha: Mapped[str | None]
    status: Mapped[str]
    flow_run_id: Mapped[UUID | None]
    delivery_id: Mapped[UUID | None]
    """The callback; without a foreign key, since the delivery names the build too."""
    publication_id: Mapped[UUID | None] = mapped_column(ForeignKey("publications.id"), index=True)
    error_message: Mapped[str | None]
    created_at: Mapped[datetime]
    deadline_at: Mapped[datetime]
    last_polled_at: Mapped[datetime | None]
    """When the forge was asked last."""
    run_ended_at: Mapped[datetime | None]
    """When the forge was first seen to say that the run had ended."""
    finished_at: Mapped[datetime | None]
    reported_at: Mapped[datetime | None]
    """When its flow run has said how it ended, or was found to be gone."""


class KnownRun(Row):
    """A workflow run that an operator listed, so that its logs are found without naming its repository."""

    __tablename__ = "listed_runs"
    __table_args__ = (UniqueConstraint("account_id", "forge", "repo", "run_id"),)

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    forge_name: Mapped[str] = mapped_column("forge")
    repo: Mapped[str]
    run_id: Mapped[str]
    listed_at: Mapped[datetime] = mapped_column(index=True)
