"""Series of rows in the order of their time, whose oldest are pruned: a webhook's deliveries, a kind of event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from bootpress.core.pruning.rules import PIECE

Position = tuple[datetime, Any]
"""Where a row stands in its series: its time, and the key that decides between rows of one time."""


@dataclass(frozen=True, slots=True)
class Series:
    """Rows that are counted together: `scope` selects them, `needed` those among them that stay."""

    moment: InstrumentedAttribute[Any]
    key: InstrumentedAttribute[Any]
    scope: tuple[ColumnElement[bool], ...]
    needed: ColumnElement[bool]

    def end(self, session: Session, *, keep: int, older_than: datetime, spared_from: datetime) -> Position | None:
        """Return the newest position that goes: by age, or because `keep` newer ones are there; None if nothing does.

        Nothing from `spared_from` on goes by number.
        """
        query = select(self.moment, self.key).where(*self.scope, self.moment.is_not(None))
        newest_first = query.order_by(self.moment.desc(), self.key.desc())
        aged = session.execute(newest_first.where(self.moment < older_than).limit(1)).first()
        beyond = session.execute(newest_first.where(self.moment < spared_from).limit(1)).first()
        counted = session.execute(newest_first.offset(keep).limit(1)).first()
        ends = [tuple(row) for row in (aged, min(beyond, counted, key=tuple) if beyond and counted else None) if row]
        return max(ends, default=None)

    def oldest(self, session: Session, *, until: Position, after: Position | None) -> Sequence[Position]:
        """Return the first positions after `after` up to `until` of rows that nothing needs: a piece at most."""
        query = select(self.moment, self.key).where(*self.scope, ~self.needed, self.up_to(until))
        if after is not None:
            query = query.where(self.moment >= after[0], ~self.up_to(after))
        found = session.execute(query.order_by(self.moment, self.key).limit(PIECE))
        return [(row[0], row[1]) for row in found]

    def up_to(self, position: Position) -> ColumnElement[bool]:
        """Return the condition of rows that stand at a position or before it."""
        moment, key = position
        return and_(self.moment <= moment, or_(self.moment < moment, self.key <= key))
