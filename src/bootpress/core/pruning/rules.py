"""Pure rules of pruning: which time it goes by, and what is too young to go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bootpress.core.pieces import ROWS

PIECE = ROWS
"""Rows that one transaction deletes at most, attempts included."""
PIECES = 200
"""Transactions of one run; what is left then is for the next."""
EVERY = timedelta(hours=1)
"""Between two runs, unless the first left something."""
CONFIRMED = timedelta(hours=12)
"""How far apart two moments lie of which the later one confirms the earlier."""
YOUNGEST = timedelta(hours=1)
"""What is younger does not go, however much there is: its run may still be reporting it."""


def is_due(due_at: datetime, now: datetime) -> bool:
    """Tell whether to prune again; a moment further ahead than we ever set was written by a clock that was wrong."""
    return not now < due_at <= now + EVERY


@dataclass(frozen=True, slots=True)
class Seen:
    """The moments at which pruning ran: the last one, and the one before it, half a day apart at least."""

    before: datetime
    last: datetime

    def at(self, now: datetime) -> Seen:
        """Return what was seen when pruning runs once more."""
        if timedelta() <= now - self.last < CONFIRMED:
            return self
        return Seen(before=self.last, last=now)

    def believed(self, now: datetime) -> datetime:
        """Return the time that ages are counted by: never one that a single look at the clock says.

        A clock that is set far ahead would make everything old. It is believed when it still says so half a day later;
        until then, ages are counted by what it said before.
        """
        return min(now, self.before)
