"""Who names a publication is found by an index: one that failed goes when nobody does any more."""

from collections.abc import Sequence

from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go to this version."""
    for table in ("attempts", "builds", "webhook_deliveries"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.create_index(batch_op.f(f"ix_{table}_publication_id"), ["publication_id"], unique=False)
