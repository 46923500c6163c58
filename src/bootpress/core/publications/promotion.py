"""Move a platform's default: in one transaction, with its event."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.errors import Conflict
from bootpress.core.events.service import Kind
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.publications import events
from bootpress.core.publications.eligibility import require_eligible
from bootpress.core.publications.models import Publication
from bootpress.core.publications.states import PublicationStatus


def promote(
    context: Context,
    session: Session,
    platform: NodePlatform,
    publication: Publication,
    *,
    actor: str,
    at: datetime,
    reason: str,
) -> bool:
    """Make a published publication the default of its locked platform; False if it is that already.

    Raises Conflict for one that is not published, or not what the platform demands now.
    """
    if publication.status != PublicationStatus.PUBLISHED:
        raise Conflict(
            f"publication {publication.id} is {publication.status}; only a published one can be the default",
            hint="a retired one comes back with system_restore_disk_image_publication",
        )
    require_eligible(context.verifier, platform, publication)
    if platform.default_publication_id == publication.id:
        return False
    previous, platform.default_publication_id = platform.default_publication_id, publication.id
    events.record(
        session,
        Kind.PROMOTED,
        publication,
        actor=actor,
        at=at,
        previous_publication_id=str(previous) if previous else None,
        platform_slug=platform.slug,
        reason=reason,
    )
    return True
