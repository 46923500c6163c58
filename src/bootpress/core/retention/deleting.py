"""One step of a purge: who takes it up, what the registry answers, and what becomes of it.

Several sweeps may be at one plan, and one of them may have fallen behind all others. So nothing is deleted on what was
read before: a step is taken up by a compare-and-set on its row, and its answer is written by the one who holds it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, not_, select, update
from sqlalchemy.orm import Session

from bootpress.core import locks
from bootpress.core.context import Context
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import Deletion, Registry
from bootpress.core.references import Repository
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.needs import who_needs, who_shares
from bootpress.core.retention.states import DONE, StepStatus

ASKING = timedelta(minutes=5)
"""How long a delete may be under way: the minute that a request may take, and what clocks and pauses may add."""
UNANSWERED = "it was asked for, and not answered"
REFUSALS = {
    StepStatus.UNSUPPORTED: "the registry does not support deletion",
    StepStatus.DENIED: (
        "the registry does not let us delete it (connect it with a credential that may delete: system_connect_registry)"
    ),
    StepStatus.REFUSED: (
        "the registry refuses to delete it (an immutable tag, a lock or a policy of the registry may forbid it)"
    ),
}
_OUTCOMES = {
    Deletion.DELETED: StepStatus.DELETED,
    Deletion.ABSENT: StepStatus.ABSENT,
    Deletion.UNSUPPORTED: StepStatus.UNSUPPORTED,
    Deletion.DENIED: StepStatus.DENIED,
    Deletion.REFUSED: StepStatus.REFUSED,
}
_IS_ASKED = and_(DeletionStep.status == StepStatus.DELETING, DeletionStep.because.is_(None))


def read_steps(session: Session, publication_id: UUID, *, lock: bool = False) -> list[DeletionStep]:
    """Return a publication's plan in order; with `lock`, behind whoever is taking up one of its steps."""
    query = select(DeletionStep).where(DeletionStep.publication_id == publication_id).order_by(DeletionStep.position)
    return list(session.scalars(query.with_for_update() if lock else query))


def delete_step(context: Context, registry: Registry, repository: Repository, step: DeletionStep) -> StepStatus | None:
    """Delete one manifest, or keep it for whoever needs it; None where another sweep is at it or was before.

    Raises RegistryUnavailable; the step stays `deleting`, since the delete may still take effect, and may be taken up.
    """
    shared = who_shares(context, registry, repository, step)
    taken = _take_up(context, repository, step, shared)
    if taken is None:
        return None
    status, since = taken
    if status is StepStatus.KEPT:
        return status
    try:
        status = _OUTCOMES[registry.delete_manifest(repository, step.digest)]
    except RegistryUnavailable:
        _answer(context, step, since, StepStatus.DELETING, UNANSWERED)
        raise
    return status if _answer(context, step, since, status, REFUSALS.get(status)) else None


def _take_up(
    context: Context, repository: Repository, step: DeletionStep, shared: str | None
) -> tuple[StepStatus, datetime] | None:
    """Mark a delete as asked for, or as kept for who needs it; whoever claims its digest sees one or the other."""
    with context.catalog.writing() as session:
        locks.hold(session, [repository.at(step.digest), repository.at(step.subject)])
        now = context.clock.now()
        because = shared or who_needs(session, step, now=now)
        status = StepStatus.DELETING if because is None else StepStatus.KEPT
        taken = _write(session, step, _is_free(now), status=status, because=because, updated_at=now)
        return (status, now) if taken else None


def _answer(context: Context, step: DeletionStep, since: datetime, status: StepStatus, because: str | None) -> bool:
    """Write what a delete came to; False when it is no longer ours."""
    with context.catalog.writing() as session:
        ours = and_(_IS_ASKED, DeletionStep.updated_at == since)
        return _write(session, step, ours, status=status, because=because, updated_at=context.clock.now())


def _is_free(now: datetime) -> ColumnElement[bool]:
    # Nobody waits so long for an answer: whoever asked is dead, or a clock was set since.
    under_way = and_(_IS_ASKED, DeletionStep.updated_at.between(now - ASKING, now + ASKING))
    return and_(DeletionStep.status.not_in(DONE), not_(under_way))


def _write(session: Session, step: DeletionStep, condition: ColumnElement[bool], **values: Any) -> bool:
    """Write a step if it is still there and as the condition says; tell whether it was."""
    statement = update(DeletionStep).where(DeletionStep.id == step.id, condition).values(**values)
    return session.scalar(statement.returning(DeletionStep.id)) is not None
