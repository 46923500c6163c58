"""Publications: find, list, make default, restore, pin, retry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, defer

from bootpress.core.context import Context
from bootpress.core.deliveries import waiting
from bootpress.core.deliveries.models import Delivery
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.errors import Conflict, InvalidInput, NotFound
from bootpress.core.events.service import Kind
from bootpress.core.pagination import page
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import find_platform, find_platforms, lock_platform
from bootpress.core.publications import events, rules
from bootpress.core.publications.eligibility import require_eligible
from bootpress.core.publications.models import Artifact, Publication
from bootpress.core.publications.promotion import promote
from bootpress.core.publications.states import PublicationStatus as Status

PINNABLE = frozenset({Status.PUBLISHED, Status.RETIRED})
BY_SEQUENCE = (Publication.sequence, Publication.created_at, Publication.id)
"""Newest last; rows that were not made here may share a sequence."""


@dataclass(frozen=True, slots=True)
class PublicationWithArtifacts:
    """A publication and what it consists of; `artifact_count` may exceed the artifacts that were asked for."""

    publication: Publication
    is_default: bool
    artifacts: Sequence[Artifact]
    artifact_count: int


def find_publication(session: Session, account_id: UUID, publication_id: UUID, *, lock: bool = False) -> Publication:
    """Return an account's publication; NotFound for one that is unknown or another account's."""
    publication = session.get(Publication, publication_id, with_for_update=lock or None, populate_existing=lock)
    if publication is None or publication.account_id != account_id:
        raise NotFound(f"no publication {publication_id}", hint="see system_list_disk_image_publications")
    return publication


def list_publications(
    context: Context, *, account_id: UUID, platform: str, status: str | None, limit: int, cursor: str | None
) -> tuple[list[Publication], UUID | None, str | None]:
    """Return a page of a platform's publications, newest first, its default's id, and the next cursor."""
    with context.catalog.read_session() as session:
        row = find_platform(session, account_id, platform)
        query = select(Publication).where(Publication.node_platform_id == row.id).options(defer(Publication.claims))
        if status is not None:
            query = query.where(Publication.status == status)
        rows, next_cursor = page(session, query, by=BY_SEQUENCE, limit=limit, cursor=cursor)
        return rows, row.default_publication_id, next_cursor


def get_publication(
    context: Context, *, account_id: UUID, publication_id: UUID, artifacts: int
) -> PublicationWithArtifacts:
    """Return a publication with the first `artifacts` of what it consists of: each manifest, then what it names."""
    with context.catalog.read_session() as session:
        publication = find_publication(session, account_id, publication_id)
        mine = Artifact.publication_id == publication.id
        place = case({role: number for number, role in enumerate(("manifest", "config"))}, value=Artifact.role, else_=2)
        query = select(Artifact).where(mine).limit(artifacts)
        return PublicationWithArtifacts(
            publication,
            _is_default(session, publication),
            session.scalars(query.order_by(Artifact.manifest_digest, place, Artifact.title, Artifact.digest)).all(),
            session.scalar(select(func.count()).select_from(Artifact).where(mine)) or 0,
        )


def set_default(
    context: Context, *, account_id: UUID, publication_id: UUID, platform: str | None, actor: str
) -> tuple[Publication, bool]:
    """Make a published publication what new instances boot; a repeat changes nothing.

    Raises Conflict for one that is not what the platform demands now: its architecture, repository and trust.
    """
    with context.catalog.transaction() as session:
        publication = find_publication(session, account_id, publication_id)
        row = lock_platform(session, publication.node_platform_id)
        publication = find_publication(session, account_id, publication_id, lock=True)
        if platform is not None and find_platform(session, account_id, platform).id != row.id:
            raise Conflict(
                f"publication {publication_id} belongs to the platform {row.slug}, not to {platform}",
                hint="leave node_platform_id away, or name a publication of that platform",
            )
        promote(context, session, row, publication, actor=actor, at=context.clock.now(), reason="set by operator")
        return publication, True


def restore(context: Context, *, account_id: UUID, publication_id: UUID, actor: str) -> tuple[Publication, bool]:
    """Bring a retired publication back before it is purged; a published one stays as it is.

    Raises Conflict for one that is not what the platform demands now.
    """
    with context.catalog.transaction() as session:
        publication = find_publication(session, account_id, publication_id)
        platform = lock_platform(session, publication.node_platform_id)
        publication = find_publication(session, account_id, publication_id, lock=True)
        if publication.status != Status.PUBLISHED:
            if publication.status == Status.RETIRED and publication.purge_begun_at is not None:
                raise Conflict(
                    f"publication {publication_id} is being purged since {publication.purge_begun_at:%F %T} UTC",
                    hint="have the pipeline build and announce it again",
                )
            publication.status = rules.PUBLICATION.transition("restore", Status(publication.status))
            require_eligible(context.verifier, platform, publication)
            publication.retired_at = None
            events.record(session, Kind.RESTORED, publication, actor=actor, at=context.clock.now())
        return publication, platform.default_publication_id == publication.id


def set_pinned(context: Context, *, account_id: UUID, publication_id: UUID, pinned: bool) -> tuple[Publication, bool]:
    """Pin a publication, so that retention keeps it, or let it go."""
    with context.catalog.transaction() as session:
        publication = find_publication(session, account_id, publication_id, lock=True)
        if pinned and Status(publication.status) not in PINNABLE:
            raise Conflict(
                f"publication {publication_id} is {publication.status} and cannot be pinned",
                hint=f"pinned can be what is {' or '.join(sorted(PINNABLE))}",
            )
        if pinned and publication.purge_begun_at is not None:
            raise Conflict(f"publication {publication_id} is being purged")
        publication.pinned = pinned
        return publication, _is_default(session, publication)


def retry(
    context: Context, *, account_id: UUID, publication_id: UUID, actor: str, reason: str | None
) -> tuple[Publication, UUID]:
    """Announce a failed publication again by its digest, where its platform's images lie now.

    Return it and the delivery, which the caller launches.
    """
    with context.catalog.transaction() as session:
        publication = find_publication(session, account_id, publication_id, lock=True)
        if publication.status != Status.FAILED:
            raise Conflict(
                f"publication {publication_id} is {publication.status}; only a failed one can be retried",
                hint="a retired one comes back with system_restore_disk_image_publication",
            )
        platform = session.get_one(NodePlatform, publication.node_platform_id)
        claims = {name: value for name, value in publication.claims.items() if name != "oci_digest"}
        delivery_id = create_delivery(
            context,
            session,
            platform=platform,
            oci_ref=f"{platform.oci_repository}@{publication.oci_digest}",
            actor=actor,
            source="retry",
            extra={**claims, **({"reason": reason} if reason else {})},
        )
        return publication, delivery_id


def create_delivery(
    context: Context,
    session: Session,
    *,
    platform: NodePlatform,
    oci_ref: str,
    actor: str,
    source: str,
    extra: dict[str, object] | None = None,
) -> UUID:
    """Make the record that a webhook would make, in the running transaction; return the delivery's id."""
    said = {**(extra or {}), "platform_slug": str(platform.id), "oci_ref": oci_ref}
    body = json.dumps(said, sort_keys=True).encode()
    now = context.clock.now()
    git_sha = said.get("git_sha")
    delivery = Delivery(
        id=uuid4(),
        account_id=platform.account_id,
        webhook_id=None,
        source=source,
        actor=actor,
        body=body,
        body_sha256=hashlib.sha256(body).hexdigest(),
        platform_slug=platform.slug,
        node_platform_id=platform.id,
        queue_id=platform.id,
        oci_ref=oci_ref,
        git_sha=git_sha if isinstance(git_sha, str) else None,
        status=DeliveryStatus.RECEIVED,
        attempt_count=0,
        received_at=now,
        next_attempt_at=now,
    )
    session.add(delivery)
    return delivery.id


def create_manual_delivery(context: Context, *, platform: str, reference: str, actor: str) -> UUID:
    """Announce a reference without a webhook, from inside the installation; return the delivery's id.

    `platform` is an id, or a slug that only one account has; InvalidInput when several have it.
    """
    with context.catalog.transaction() as session:
        found = find_platforms(session, platform)
        if len(found) > 1:
            raise InvalidInput(f"several accounts have a node platform {platform!r}", hint="name it by its id")
        if not found:
            raise NotFound(f"no node platform {platform!r}", hint="see system_list_node_platforms")
        return create_delivery(context, session, platform=found[0], oci_ref=reference, actor=actor, source="manual")


def list_deliveries(
    context: Context, *, account_id: UUID, status: str | None, limit: int, cursor: str | None
) -> tuple[list[Delivery], dict[UUID, str], str | None]:
    """Return a page of an account's deliveries, newest first, what those that wait wait for, and the next cursor."""
    query = select(Delivery).where(Delivery.account_id == account_id).options(defer(Delivery.body))
    if status is not None:
        query = query.where(Delivery.status == status)
    with context.catalog.read_session() as session:
        rows, next_cursor = page(session, query, by=(Delivery.received_at, Delivery.id), limit=limit, cursor=cursor)
        return rows, waiting.reasons(session, account_id, rows, context.clock.now()), next_cursor


def _is_default(session: Session, publication: Publication) -> bool:
    return session.get_one(NodePlatform, publication.node_platform_id).default_publication_id == publication.id
