"""How a build ends: with the delivery that it ends in, in one transaction, or without one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from bootpress.core.builds import rules
from bootpress.core.builds.models import Build
from bootpress.core.builds.states import BuildStatus
from bootpress.core.deliveries.models import Delivery
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.events import service as events
from bootpress.core.publications.models import Publication
from bootpress.core.publications.states import PublicationStatus

RECOVERED = "recovered"
"""Source of a delivery that we made of what the registry holds."""
MAX_REASON = 2000


def finish_from_delivery(session: Session, delivery: Delivery, *, at: datetime) -> None:
    """End the build whose callback a delivery is, in the transaction that has just ended the delivery."""
    if delivery.build_id is None:
        return
    build = session.get(Build, delivery.build_id, with_for_update=True)
    if build is None or build.delivery_id != delivery.id or build.status not in rules.UNFINISHED:
        return
    build.publication_id = delivery.publication_id
    if delivery.status == DeliveryStatus.FAILED:
        _end(build, "fail", at=at, reason=delivery.error_message)
        return
    publication = session.get_one(Publication, delivery.publication_id)
    if publication.status != PublicationStatus.PUBLISHED:
        reason = f"its image was known already, and is {publication.status}"
        _end(build, "fail", at=at, reason=reason)
    elif delivery.source == RECOVERED:
        _end(build, "recover", at=at)
        _announce(session, events.Kind.BUILD_RECOVERED, build, at=at)
    else:
        _end(build, "publish", at=at)


def fail_without_image(session: Session, build: Build, move: str, *, reason: str, at: datetime) -> None:
    """End a locked build that will have no image, and announce it."""
    _end(build, move, at=at, reason=reason)
    _announce(session, events.Kind.BUILD_STUCK, build, at=at)


def cancel(build: Build, *, reason: str, at: datetime) -> None:
    """End a locked build that somebody stopped at the forge."""
    _end(build, "cancel", at=at, reason=reason)


def _end(build: Build, move: str, *, at: datetime, reason: str | None = None) -> None:
    build.status = rules.BUILD.transition(move, BuildStatus(build.status))
    build.error_message = reason[:MAX_REASON] if reason else None
    build.finished_at = at


def _announce(session: Session, kind: events.Kind, build: Build, *, at: datetime) -> None:
    events.record(
        session,
        kind,
        account_id=build.account_id,
        actor=build.actor,
        at=at,
        payload={
            "build_id": str(build.id),
            "status": build.status,
            "error_message": build.error_message,
            "node_platform_id": str(build.node_platform_id) if build.node_platform_id else None,
            "platform_slug": build.platform_slug,
            "repo": build.repo,
            "workflow": build.workflow,
            "ref": build.ref,
            "run_id": build.run_id,
            "run_url": build.run_url,
            "publication_id": str(build.publication_id) if build.publication_id else None,
        },
        node_platform_id=build.node_platform_id,
    )
