"""Standard names: procedures are sagas, and columns say what they hold."""

from collections.abc import Sequence

from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMNS = (
    ("webhook_deliveries", "unheard_launches", "unacknowledged_launches"),
    ("webhook_deliveries", "trying_since", "retry_window_started_at"),
    ("webhook_deliveries", "tried_until", "last_attempt_ended_at"),
    ("builds", "looked_at", "last_polled_at"),
    ("sagas", "claims", "resource_keys"),
    ("sagas", "effects", "step_results"),
    ("sagas", "answer", "encrypted_result"),
    ("sagas", "answer_until", "result_expires_at"),
    ("sagas", "lease_until", "lease_expires_at"),
)
"""Table, old name, new name. Both databases rename in place: no row is written and no index is lost."""


def upgrade() -> None:
    """Go to this version."""
    op.rename_table("procedures", "sagas")
    op.drop_index("ix_procedures_account_id", table_name="sagas")
    op.create_index("ix_sagas_account_id", "sagas", ["account_id"])
    for table, old, new in COLUMNS:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
