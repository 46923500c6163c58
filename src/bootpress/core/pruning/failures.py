"""Publications that failed and never were published: each goes when nothing names it any more.

Whoever may ring can announce any digest, and a digest makes a publication. What was published once stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from bootpress.core.builds.models import Build
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.pruning.rules import PIECE
from bootpress.core.publications.models import Artifact, Publication
from bootpress.core.publications.states import PublicationStatus

_GOES: Final = (
    Publication.status == PublicationStatus.FAILED,
    Publication.published_sequence.is_(None),
    Publication.published_at.is_(None),
    Publication.pinned.is_(False),
    *(~select(table.id).where(table.publication_id == Publication.id).exists() for table in (Delivery, Attempt, Build)),
)


def find(session: Session, platform_id: UUID) -> Sequence[UUID]:
    """Return some of a platform's publications that go, a piece at most."""
    query = select(Publication.id).where(Publication.node_platform_id == platform_id, *_GOES)
    return session.scalars(query.limit(PIECE)).all()


def forget(session: Session, found: Sequence[UUID]) -> tuple[int, int]:
    """Delete those that still go, and before them what they consist of: a piece at most; return how many of each.

    What others have locked is left: it is being announced again.
    """
    query = select(Publication.id).where(Publication.id.in_(found), *_GOES).order_by(Publication.id)
    held = session.scalars(query.with_for_update(skip_locked=True)).all()
    artifacts = session.scalars(select(Artifact.id).where(Artifact.publication_id.in_(held)).limit(PIECE)).all()
    session.execute(delete(Artifact).where(Artifact.id.in_(artifacts)))
    # Those that may still have artifacts wait for the next piece.
    gone = held[: PIECE - len(artifacts)]
    session.execute(delete(Publication).where(Publication.id.in_(gone)))
    return len(gone), len(artifacts)
