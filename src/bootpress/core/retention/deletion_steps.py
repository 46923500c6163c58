"""One step of a purge: who takes it up, what the registry answers, and what becomes of it.

Several sweeps may be at one plan, and one of them may have fallen behind all others. So nothing is deleted on what was
read before: a step is taken up by a compare-and-set on its row, and its answer is written by the one who holds it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, not_, update
from sqlalchemy.orm import Session

from bootpress.core import advisory_locks
from bootpress.core.context import Context
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import DeleteResult
from bootpress.core.publications.models import Publication
from bootpress.core.retention.elsewhere import Decision, Elsewhere
from bootpress.core.retention.identity import Place
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.states import DONE, StepStatus
from bootpress.core.retention.usage import find_needs, find_publication_sharing

DELETE_TIMEOUT = timedelta(minutes=5)
"""How long a delete may be under way: the minute that a request may take, and what clocks and pauses may add."""
TURNS = 3
"""How often it is asked anew who needs a manifest, when somebody claims it meanwhile."""
NO_RESPONSE = "it was asked for, and not answered"
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
    DeleteResult.DELETED: StepStatus.DELETED,
    DeleteResult.ABSENT: StepStatus.ABSENT,
    DeleteResult.UNSUPPORTED: StepStatus.UNSUPPORTED,
    DeleteResult.DENIED: StepStatus.DENIED,
    DeleteResult.REFUSED: StepStatus.REFUSED,
}
_IS_ASKED = and_(DeletionStep.status == StepStatus.DELETING, DeletionStep.because.is_(None))


def delete_step(context: Context, here: Place, step: DeletionStep, elsewhere: Elsewhere) -> Decision | None:
    """Delete one manifest, or keep it for whoever needs it; None where another sweep is at it or was before.

    Raises RegistryUnavailable; the step stays `deleting`, since the delete may still take effect, and may be taken up.
    """
    taken = _take_up(context, here, step, elsewhere)
    if taken is None:
        return None
    decision, since = taken
    if decision.status is not StepStatus.DELETING:
        return decision
    try:
        status = _OUTCOMES[here.registry.delete_manifest(here.repository, step.digest)]
    except RegistryUnavailable:
        _answer(context, step, since, Decision(StepStatus.DELETING, NO_RESPONSE))
        raise
    decision = Decision(status, REFUSALS.get(status))
    return decision if _answer(context, step, since, decision) else None


def _take_up(
    context: Context, here: Place, step: DeletionStep, elsewhere: Elsewhere
) -> tuple[Decision, datetime] | None:
    """Mark a delete as asked for, or as not asked for and why; whoever claims its digest sees one or the other."""
    shared = find_publication_sharing(context, here.registry, here.repository, step)
    for _ in range(TURNS):
        with context.catalog.read_session() as session:
            needs = find_needs(session, step, now=context.clock.now())
        elsewhere.ask(needs, step.digest)
        with context.catalog.transaction() as session:
            advisory_locks.acquire(session, [step.digest, step.subject])
            now = context.clock.now()
            decision = elsewhere.decide(find_needs(session, step, now=now), step.digest)
            if decision is None:  # it was claimed under another name meanwhile
                continue
            if shared is not None and decision.status is not StepStatus.HELD:
                decision = Decision(StepStatus.KEPT, shared)
            if not _is_going_on(session, step):
                return None
            values = {"status": decision.status, "because": decision.because, "updated_at": now}
            return (decision, now) if _write(session, step, _is_free(now), **values) else None
    return None


def _is_going_on(session: Session, step: DeletionStep) -> bool:
    """Tell whether the purge of a step's publication is under way, and let nobody end it before this transaction."""
    publication = session.get_one(Publication, step.publication_id, with_for_update=True)
    return publication.purge_begun_at is not None


def _answer(context: Context, step: DeletionStep, since: datetime, decision: Decision) -> bool:
    """Write what a delete came to; False when it is no longer ours."""
    with context.catalog.transaction() as session:
        ours = and_(_IS_ASKED, DeletionStep.updated_at == since)
        now = context.clock.now()
        return _write(session, step, ours, status=decision.status, because=decision.because, updated_at=now)


def _is_free(now: datetime) -> ColumnElement[bool]:
    # Nobody waits so long for an answer: whoever asked is dead, or a clock was set since.
    under_way = and_(_IS_ASKED, DeletionStep.updated_at.between(now - DELETE_TIMEOUT, now + DELETE_TIMEOUT))
    return and_(DeletionStep.status.not_in(DONE), not_(under_way))


def _write(session: Session, step: DeletionStep, condition: ColumnElement[bool], **values: Any) -> bool:
    """Write a step if it is still there and as the condition says; tell whether it was."""
    statement = update(DeletionStep).where(DeletionStep.id == step.id, condition).values(**values)
    return session.scalar(statement.returning(DeletionStep.id)) is not None
