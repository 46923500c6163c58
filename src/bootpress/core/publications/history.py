"""What became of a publication, as events: each says which one, of which platform, and its digest."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from bootpress.core.events import service as events
from bootpress.core.publications.models import Publication


def record(
    session: Session, kind: events.Kind, publication: Publication, *, actor: str, at: datetime, **more: object
) -> None:
    """Record an event about a publication in the running transaction; `more` is what this kind says besides."""
    events.record(
        session,
        kind,
        account_id=publication.account_id,
        actor=actor,
        at=at,
        payload={
            "publication_id": str(publication.id),
            "node_platform_id": str(publication.node_platform_id),
            "oci_digest": publication.oci_digest,
            **more,
        },
        node_platform_id=publication.node_platform_id,
    )
