"""The order of a platform's publications: numbers from a counter of the platform's, which no clock moves back."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from bootpress.core.platforms.models import NodePlatform


def next_number(session: Session, platform_id: UUID) -> int:
    """Return a platform's next number; its row stays locked until the running transaction ends.

    So numbers are given in the order of commits: who comes later has the larger one.
    """
    counted = (
        update(NodePlatform)
        .where(NodePlatform.id == platform_id)
        .values(publication_sequence=NodePlatform.publication_sequence + 1)
        .returning(NodePlatform.publication_sequence)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(counted).one()
