"""Who still needs a manifest that a purge would delete: publications of any account in the same repository."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.errors import ContentRejected
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.ports import Registry
from bootpress.core.publications.models import Artifact, Publication
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.references import Repository, digest_hex
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.rules import GRACE
from bootpress.core.webhooks.models import Attempt
from bootpress.core.webhooks.states import AttemptStatus

LASTING = (Status.QUEUED, Status.VERIFYING, Status.PUBLISHED, Status.RETIRED, Status.REVOKED)
MAX_LOOKED_AT = 500


def who_needs(session: Session, step: DeletionStep, *, now: datetime) -> str | None:
    """Say which other publication needs this manifest, or what it refers to; for the running transaction.

    A failed one counts for as long as a retired one can be restored: it may be retried.
    """
    other = session.execute(
        select(Publication.id, NodePlatform.slug)
        .join(NodePlatform, NodePlatform.id == Publication.node_platform_id)
        .outerjoin(Artifact, Artifact.publication_id == Publication.id)
        .where(_names(step.digest) | _names(step.subject), *_others(step, now))
        .limit(1)
    ).first()
    return f"publication {other[0]} of the platform {other[1]} uses it" if other else None


def who_shares(context: Context, registry: Registry, repository: Repository, step: DeletionStep) -> str | None:
    """Say which other publication has the same manifest attached, where the manifest does not say whose it is.

    Raises RegistryUnavailable.
    """
    if not step.role.startswith("."):
        return None
    others = _other_manifests(context, step)
    if len(others) > MAX_LOOKED_AT:
        return "it does not say which image it is about, and too many others may have it too"
    for digest in others:
        if _find(registry, repository, f"sha256-{digest_hex(digest)}{step.role}") == step.digest:
            return f"it is attached to {digest} too"
    return None


def _find(registry: Registry, repository: Repository, tag: str) -> str | None:
    try:
        return registry.find_tag(repository, tag)
    except ContentRejected:  # something is there that nobody can read
        return None


def _other_manifests(context: Context, step: DeletionStep) -> list[str]:
    query = (
        select(Publication.oci_digest, Artifact.digest)
        .outerjoin(Artifact, (Artifact.publication_id == Publication.id) & (Artifact.role == "manifest"))
        .where(*_others(step, context.clock.now()))
        .order_by(Publication.id, Artifact.digest)
    )
    with context.catalog.reading() as session:
        rows = session.execute(query).all()
    return list(dict.fromkeys(digest for row in rows for digest in row if digest is not None))


def _others(step: DeletionStep, now: datetime) -> tuple[ColumnElement[bool], ...]:
    recently = (
        select(Attempt.id).where(Attempt.id == Publication.current_attempt_id, Attempt.ended_at > now - GRACE).exists()
    )
    # What is verified anew in this repository still lies elsewhere until it is published from here.
    moving = (
        select(Attempt.id)
        .where(
            Attempt.id == Publication.current_attempt_id,
            Attempt.repository == step.repository,
            Attempt.status != AttemptStatus.ENDED,
        )
        .exists()
    )
    return (
        (Publication.repository == step.repository) | moving,
        Publication.id != step.publication_id,
        Publication.status.in_(LASTING) | ((Publication.status == Status.FAILED) & recently),
    )


def _names(digest: str) -> ColumnElement[bool]:
    return (Publication.oci_digest == digest) | ((Artifact.digest == digest) & (Artifact.role == "manifest"))
