"""Digests are looked for in all repositories, and publications retired in pieces."""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go to this version."""
    with op.batch_alter_table("publications", schema=None) as batch_op:
        batch_op.drop_index("publications_by_digest")
        batch_op.create_index("publications_by_digest", ["oci_digest", "repository"], unique=False)
        batch_op.create_index("publications_by_place", ["repository"], unique=False)
        batch_op.create_index(
            "publications_by_retention",
            ["node_platform_id", "status", "published_sequence", "published_at", "id"],
            unique=False,
        )
    with op.batch_alter_table("deletion_steps", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deletion_steps_subject"), ["subject"], unique=False)
