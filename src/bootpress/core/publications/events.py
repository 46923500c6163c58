"""What became of a publication, as events: each says which one, of which platform, and its digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        payload=_payload(publication, more),
        node_platform_id=publication.node_platform_id,
    )


def record_all(
    session: Session,
    kinds: Sequence[events.Kind],
    publications: Sequence[Publication],
    *,
    actor: str,
    at: datetime,
    **more: object,
) -> None:
    """Record of each publication an event of each kind, as `record` does of one."""
    happened = [
        events.Happened(kind, one.account_id, one.node_platform_id, _payload(one, more))
        for one in publications
        for kind in kinds
    ]
    events.record_all(session, happened, actor=actor, at=at)


def _payload(publication: Publication, more: Mapping[str, object]) -> dict[str, object]:
    return {
        "publication_id": str(publication.id),
        "node_platform_id": str(publication.node_platform_id),
        "oci_digest": publication.oci_digest,
        **more,
    }
