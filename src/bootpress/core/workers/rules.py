"""Pure rules of procedures."""

from __future__ import annotations

from datetime import datetime, timedelta

from bootpress.core.transitions import StateMachine
from bootpress.core.workers.states import ProcedureStatus

LEASE = timedelta(seconds=30)
"""How long a run that carries out a procedure is believed to live without a sign of life."""
ANSWER_KEPT = timedelta(minutes=10)
"""How long an answer that nobody read is kept."""
QUEUE_MARGIN = timedelta(seconds=30)

PROCEDURE = StateMachine(
    noun="procedure",
    moves={
        "begin": (frozenset({ProcedureStatus.QUEUED}), ProcedureStatus.RUNNING),
        # Whoever carried it out died: another run goes on from what is recorded.
        "begin again": (frozenset({ProcedureStatus.RUNNING}), ProcedureStatus.QUEUED),
        "finish": (frozenset({ProcedureStatus.RUNNING}), ProcedureStatus.DONE),
        "fail": (frozenset({ProcedureStatus.QUEUED, ProcedureStatus.RUNNING}), ProcedureStatus.FAILED),
    },
)
UNFINISHED = (ProcedureStatus.QUEUED, ProcedureStatus.RUNNING)


def queue_lease(patience_seconds: float) -> timedelta:
    """Return how long a procedure that no run has taken up is waited for by whoever called."""
    return timedelta(seconds=patience_seconds) + QUEUE_MARGIN


def is_dead(*, lease_until: datetime, now: datetime) -> bool:
    """Tell whether nobody works on an unfinished procedure any more."""
    return lease_until <= now
