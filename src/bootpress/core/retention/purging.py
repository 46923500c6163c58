"""Purge a retired publication from its registry by a plan that is written down before the first delete.

Order (DESIGN.md, Bytes): the subject, an index's children, the referrers, the fallback index. A step that was done
is never repeated, so a purge goes on where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from bootpress.core.connections.service import open_registry
from bootpress.core.context import Context
from bootpress.core.errors import ContentRejected, Rejected
from bootpress.core.events import service as events
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.ports import Deletion, Registry
from bootpress.core.publications import rules as publication_rules
from bootpress.core.publications.models import Artifact, Publication
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.references import Repository, digest_hex, parse_repository
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.rules import GRACE
from bootpress.core.retention.service import record_swept
from bootpress.core.retention.states import StepStatus

LEGACY_SUFFIXES = (".sig", ".att", ".sbom")


@dataclass(frozen=True, slots=True)
class Planned:
    """One manifest to delete, and what it is to the publication."""

    digest: str
    role: str
    subject: str


def purge(context: Context, publication_id: UUID, *, actor: str) -> str | None:
    """Delete a retired publication's manifests; return None when it is purged, else why its bytes are kept.

    Raises RegistryUnavailable when the registry is away: the plan stays, and the next call goes on with it.
    """
    claimed = _claim(context, publication_id)
    if claimed is None:
        return "it is in use again"
    publication, registry_name = claimed
    repository = parse_repository(publication.repository)
    registry = open_registry(context, publication.account_id, repository.host, registry_name)
    if not _steps(context, publication_id):
        try:
            planned = _make_plan(context, registry, repository, publication)
        except Rejected as error:
            _give_up(context, publication_id)
            return f"what refers to it cannot be read: {error}"
        _write_plan(context, publication, planned)
    for step in _steps(context, publication_id):
        if step.status == StepStatus.PENDING:
            _delete(context, registry, repository, step)
    return _finish(context, publication_id, actor=actor)


def _claim(context: Context, publication_id: UUID) -> tuple[Publication, str | None] | None:
    """Mark the purge begun, unless the publication is wanted again; from here on it cannot be restored."""
    now = context.clock.now()
    with context.catalog.writing() as session:
        publication = session.get_one(Publication, publication_id, with_for_update=True)
        platform = session.get_one(NodePlatform, publication.node_platform_id)
        wanted = publication.pinned or platform.default_publication_id == publication.id
        over = publication.retired_at is not None and now - publication.retired_at >= GRACE
        if publication.status != Status.RETIRED or wanted or not over:
            return None
        publication.purge_begun_at = publication.purge_begun_at or now
        return publication, platform.registry_name


def _make_plan(context: Context, registry: Registry, repository: Repository, publication: Publication) -> list[Planned]:
    with context.catalog.reading() as session:
        own = session.scalars(
            select(Artifact.digest).where(Artifact.publication_id == publication.id, Artifact.role == "manifest")
        ).all()
    children = [digest for digest in own if digest != publication.oci_digest]
    subjects = [publication.oci_digest, *children]
    planned = [Planned(digest, "child" if digest in children else "subject", digest) for digest in subjects]
    fallbacks: list[Planned] = []
    for subject in subjects:
        tag = f"sha256-{digest_hex(subject)}"
        legacy = [registry.find_tag(repository, tag + suffix) for suffix in LEGACY_SUFFIXES]
        referrers = [*_referrers(registry, repository, subject), *filter(None, legacy)]
        planned += [Planned(digest, "referrer", subject) for digest in referrers]
        fallback = registry.find_tag(repository, tag)
        fallbacks += [Planned(fallback, "fallback", subject)] if fallback is not None else []
    first: dict[str, Planned] = {}
    for one in [*planned, *fallbacks]:
        first.setdefault(one.digest, one)
    return list(first.values())


def _referrers(registry: Registry, repository: Repository, subject: str) -> list[str]:
    """Return those that themselves say so: a fallback index may list what refers to another image, or is one."""
    found = []
    for listed in registry.list_referrers(repository, subject):
        try:
            stated = registry.fetch_manifest(repository, listed.digest).subject
        except ContentRejected:  # not there, or not what it is listed as: nothing to delete
            continue
        found += [listed.digest] * (stated is not None and stated.digest == subject)
    return found


def _write_plan(context: Context, publication: Publication, planned: Sequence[Planned]) -> None:
    now = context.clock.now()
    with context.catalog.writing() as session:
        for position, one in enumerate(planned):
            session.add(
                DeletionStep(
                    id=uuid4(),
                    publication_id=publication.id,
                    position=position,
                    repository=publication.repository,
                    digest=one.digest,
                    role=one.role,
                    subject=one.subject,
                    status=StepStatus.PENDING,
                    updated_at=now,
                )
            )


def _steps(context: Context, publication_id: UUID) -> list[DeletionStep]:
    query = select(DeletionStep).where(DeletionStep.publication_id == publication_id)
    with context.catalog.reading() as session:
        return list(session.scalars(query.order_by(DeletionStep.position)))


def _delete(context: Context, registry: Registry, repository: Repository, step: DeletionStep) -> None:
    because = _who_needs(context, step)
    if because is not None:
        _mark(context, step, StepStatus.KEPT, because)
        return
    answer = registry.delete_manifest(repository, step.digest)
    status = {
        Deletion.DELETED: StepStatus.DELETED,
        Deletion.ABSENT: StepStatus.ABSENT,
        Deletion.UNSUPPORTED: StepStatus.UNSUPPORTED,
    }[answer]
    _mark(context, step, status, "the registry deletes nothing" if status == StepStatus.UNSUPPORTED else None)


def _mark(context: Context, step: DeletionStep, status: StepStatus, because: str | None) -> None:
    with context.catalog.writing() as session:
        row = session.get_one(DeletionStep, step.id)
        row.status = status
        row.because = because
        row.updated_at = context.clock.now()


def _who_needs(context: Context, step: DeletionStep) -> str | None:
    """Say which other publication in the repository, of any account, still needs this manifest or what it refers to."""
    with context.catalog.reading() as session:
        other = session.execute(
            select(Publication.id, NodePlatform.slug)
            .join(NodePlatform, NodePlatform.id == Publication.node_platform_id)
            .outerjoin(Artifact, Artifact.publication_id == Publication.id)
            .where(_needs(step.digest) | _needs(step.subject), Publication.repository == step.repository)
            .where(Publication.id != step.publication_id, Publication.status != Status.PURGED)
            .limit(1)
        ).first()
    return f"publication {other[0]} of the platform {other[1]} uses it" if other else None


def _needs(digest: str) -> ColumnElement[bool]:
    return (Publication.oci_digest == digest) | ((Artifact.digest == digest) & (Artifact.role == "manifest"))


def _finish(context: Context, publication_id: UUID, *, actor: str) -> str | None:
    now = context.clock.now()
    with context.catalog.writing() as session:
        publication = session.get_one(Publication, publication_id, with_for_update=True)
        statuses = {step.status for step in _steps_in(session, publication_id)}
        session.execute(delete(DeletionStep).where(DeletionStep.publication_id == publication_id))
        if StepStatus.UNSUPPORTED in statuses:
            # Planned anew by the next sweep: a registry's settings change. Until then it is whole, if nothing is gone.
            if StepStatus.DELETED not in statuses:
                publication.purge_begun_at = None
            return "the registry does not support deletion"
        publication.status = publication_rules.PUBLICATION.move("purge", Status(publication.status))
        publication.purged_at = now
        publication.purge_begun_at = None
        record_swept(session, events.Kind.RETENTION_SWEPT, publication, action="purged", actor=actor, at=now)
        return None


def _give_up(context: Context, publication_id: UUID) -> None:
    """Let a publication be restored again of which nothing was deleted."""
    with context.catalog.writing() as session:
        session.get_one(Publication, publication_id, with_for_update=True).purge_begun_at = None


def _steps_in(session: Session, publication_id: UUID) -> Sequence[DeletionStep]:
    return session.scalars(select(DeletionStep).where(DeletionStep.publication_id == publication_id)).all()
