"""The rows of a deletion plan: written and cleared in pieces, read one at a time.

They say something only while their publication's `purge_begun_at` is set: what a sweep that died left without it, the
next one clears.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.pieces import ROWS, in_pieces, pause
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.publications.models import Publication
from bootpress.core.retention.deletion_plan import UNREAD, PlannedDeletion
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.states import DONE, StepStatus
from bootpress.core.retention.usage import is_due

MAX_TOLD = 20
"""Manifests that stay which are named one by one."""


class Written(enum.Enum):
    """What came of writing a plan, or a piece of it."""

    PIECE = enum.auto()
    ALL = enum.auto()
    """By us, or by another sweep, whose plan is as good."""
    IN_USE = enum.auto()
    BUSY = enum.auto()
    """Two sweeps write theirs at once; the rows say nothing, and the next one clears them."""


def write(context: Context, publication_id: UUID, planned: Sequence[PlannedDeletion]) -> Written:
    """Write a plan, unless the publication is wanted again or another sweep was faster; then it cannot be restored."""
    clear(context, publication_id)
    now = context.clock.now()
    numbered = list(enumerate(planned))
    # The publication's own row is one of the last piece.
    for piece in in_pieces(context.catalog, numbered, size=ROWS - 1):
        try:
            written = _write_piece(context, publication_id, piece, count=len(numbered), now=now)
        except IntegrityError:
            return Written.BUSY
        if written is not Written.PIECE:
            return written
    return Written.BUSY


def _write_piece(
    context: Context, publication_id: UUID, piece: Sequence[tuple[int, PlannedDeletion]], *, count: int, now: datetime
) -> Written:
    with context.catalog.transaction() as session:
        publication = session.get_one(Publication, publication_id, with_for_update=True)
        platform = session.get_one(NodePlatform, publication.node_platform_id)
        if not is_due(publication, platform, context.clock.now()):
            return Written.IN_USE
        if publication.purge_begun_at is not None:
            return Written.ALL
        session.add_all(_row(publication, position, one, now) for position, one in piece)
        session.flush()
        if piece[-1][0] < count - 1:
            return Written.PIECE
        if _count(session, publication_id) != count:
            return Written.BUSY
        publication.purge_begun_at = now
        return Written.ALL


def unfinished(context: Context, publication_id: UUID) -> Iterator[DeletionStep]:
    """Yield the steps that are not done, in order, each read when it is its turn."""
    position = -1
    while True:
        with context.catalog.read_session() as session:
            later = (*_undone(publication_id), DeletionStep.position > position)
            step = session.scalar(select(DeletionStep).where(*later).order_by(DeletionStep.position).limit(1))
        if step is None:
            return
        position = step.position
        yield step


def find(context: Context, publication_id: UUID, statuses: Collection[StepStatus]) -> DeletionStep | None:
    """Return the first step of one of these statuses."""
    query = select(DeletionStep).where(_of(publication_id), DeletionStep.status.in_(statuses))
    with context.catalog.read_session() as session:
        return session.scalar(query.order_by(DeletionStep.position).limit(1))


def has(session: Session, publication_id: UUID, statuses: Collection[StepStatus]) -> bool:
    """Tell in the running transaction whether a step has one of these statuses."""
    query = select(DeletionStep.id).where(_of(publication_id), DeletionStep.status.in_(statuses))
    return session.scalar(query.limit(1)) is not None


def has_unfinished(session: Session, publication_id: UUID) -> bool:
    """Tell in the running transaction whether a step is not done."""
    return session.scalar(select(DeletionStep.id).where(*_undone(publication_id)).limit(1)) is not None


def told_of_left(context: Context, publication_id: UUID) -> str:
    """Say which manifests stay that may be about nothing else, and why."""
    stays = (DeletionStep.role == UNREAD) | (DeletionStep.status == StepStatus.LEFT)
    query = select(DeletionStep).where(_of(publication_id), stays).order_by(DeletionStep.position)
    with context.catalog.read_session() as session:
        rows = session.scalars(query.limit(MAX_TOLD + 1)).all()
    told = [f"{step.digest}, which may be about it, stays: {step.because}" for step in rows[:MAX_TOLD]]
    return "; ".join([*told, *(["and more"] if len(rows) > MAX_TOLD else [])])


def clear(context: Context, publication_id: UUID) -> None:
    """Delete the steps of a purge that is over or did not begin, unless another one began."""
    while _clear_some(context, publication_id):
        pause(context.catalog)


def _clear_some(context: Context, publication_id: UUID) -> bool:
    """Delete a piece of the steps; tell whether there may be more."""
    some = select(DeletionStep.id).where(_of(publication_id)).order_by(DeletionStep.id).limit(ROWS)
    with context.catalog.read_session() as session:  # where there is nothing to do, no writer waits
        if session.scalar(some.limit(1)) is None:
            return False
    with context.catalog.transaction() as session:
        # Whoever writes a plan locks the publication too, and so counts no step that is deleted here.
        publication = session.get_one(Publication, publication_id, with_for_update=True)
        if publication.purge_begun_at is not None:
            return False
        ids = session.scalars(some).all()
        session.execute(delete(DeletionStep).where(DeletionStep.id.in_(ids)))
        return len(ids) == ROWS


def _row(publication: Publication, position: int, one: PlannedDeletion, now: datetime) -> DeletionStep:
    return DeletionStep(
        id=uuid4(),
        publication_id=publication.id,
        position=position,
        repository=publication.repository,
        digest=one.digest,
        role=one.role,
        subject=one.subject,
        status=StepStatus.PENDING if one.kept is None else StepStatus.KEPT,
        because=one.kept,
        updated_at=now,
    )


def _count(session: Session, publication_id: UUID) -> int:
    return session.scalar(select(func.count()).select_from(DeletionStep).where(_of(publication_id))) or 0


def _of(publication_id: UUID) -> ColumnElement[bool]:
    return DeletionStep.publication_id == publication_id


def _undone(publication_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return _of(publication_id), DeletionStep.status.not_in(DONE)
