"""The table of what pruning has seen of the clock: one row."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Base


class PruningClock(Base):
    """The moments at which pruning ran, as far as they tell a clock that is set wrongly from time that has passed."""

    __tablename__ = "pruning_clock"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Always 1."""
    before: Mapped[datetime]
    """The moment that was seen before the last one, half a day apart at least."""
    last: Mapped[datetime]
    due_at: Mapped[datetime]
    """When pruning is to run again."""
