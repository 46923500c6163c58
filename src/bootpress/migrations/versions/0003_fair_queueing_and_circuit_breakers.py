"""Fair queueing of deliveries, circuit breakers of registry hosts."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

UNFINISHED = "status IN ('received', 'processing')"


def upgrade() -> None:
    """Go to this version."""
    with op.batch_alter_table("webhook_deliveries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("queue_id", sa.Uuid(), nullable=True))
        batch_op.create_index(
            "unfinished_deliveries_by_queue",
            ["queue_id", "status", "next_attempt_at"],
            unique=False,
            sqlite_where=sa.text(UNFINISHED),
            postgresql_where=sa.text(UNFINISHED),
        )
    op.execute(
        "UPDATE webhook_deliveries SET queue_id = coalesce(node_platform_id,"
        " (SELECT id FROM node_platforms WHERE node_platforms.account_id = webhook_deliveries.account_id"
        " AND node_platforms.slug = webhook_deliveries.platform_slug), webhook_id, account_id)"
        " WHERE status IN ('received', 'processing')"
    )
    op.create_table(
        "circuit_breakers",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_attempt_id", sa.Uuid(), nullable=True),
        sa.Column("probe_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("account_id", "host"),
    )
    with op.batch_alter_table("circuit_breakers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_circuit_breakers_failed_at"), ["failed_at"], unique=False)
