"""Rules of sagas: leases and retention. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from bootpress.core.deliveries.rules import MAX_LEASE_WITH_CLOCK_SKEW
from bootpress.core.sagas.states import SagaStatus
from bootpress.core.state_machine import StateMachine

LEASE = timedelta(seconds=30)
"""How long a run that carries out a saga is believed to live without a sign of life."""
ANSWER_KEPT = timedelta(minutes=10)
"""How long an answer that nobody read is kept."""
SAGA_TTL = timedelta(days=30)
"""How long a saga is kept after its end, which is as long as Prefect keeps its run."""
DEAD_LEASE_TIMEOUT = LEASE + timedelta(seconds=5)
"""How long it takes at most to see that whoever carries a saga out is dead."""
QUEUE_MARGIN = timedelta(seconds=30)
SAGA = StateMachine(
    noun="saga",
    moves={
        "begin": (frozenset({SagaStatus.QUEUED}), SagaStatus.RUNNING),
        # Whoever carried it out died: another run goes on from what is recorded.
        "begin again": (frozenset({SagaStatus.RUNNING}), SagaStatus.QUEUED),
        "finish": (frozenset({SagaStatus.RUNNING}), SagaStatus.DONE),
        "fail": (frozenset({SagaStatus.QUEUED, SagaStatus.RUNNING}), SagaStatus.FAILED),
    },
)
UNFINISHED = (SagaStatus.QUEUED, SagaStatus.RUNNING)


def queue_lease(patience_seconds: float) -> timedelta:
    """Return how long a saga that no run has taken up is waited for by whoever called."""
    return timedelta(seconds=patience_seconds) + QUEUE_MARGIN


def is_dead(*, lease_until: datetime, now: datetime) -> bool:
    """Tell whether nobody works on an unfinished saga any more."""
    return lease_until <= now or lease_until - now > MAX_LEASE_WITH_CLOCK_SKEW
