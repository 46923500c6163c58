"""Purge a retired publication from its registry by a plan that is written down before the first delete.

Order (DESIGN.md, Bytes): the subject, an index's children, the referrers, the fallback index. A step that was done
is never repeated, so a purge goes on where it was interrupted. What was not begun, or turns out not to be allowed
before anything is gone, leaves a publication that can be restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from bootpress.core import locks
from bootpress.core.connections.service import open_registry
from bootpress.core.context import Context
from bootpress.core.errors import ContentRejected, Rejected
from bootpress.core.events import service as events
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.ports import Deletion, Registry
from bootpress.core.publications import rules as publication_rules
from bootpress.core.publications.models import Publication
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.references import Repository, parse_repository
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.needs import who_needs, who_shares
from bootpress.core.retention.planning import Planned, make_plan
from bootpress.core.retention.rules import GRACE
from bootpress.core.retention.service import record_swept
from bootpress.core.retention.states import DONE, StepStatus

IN_USE = "it is in use again"
REFUSALS = {
    StepStatus.UNSUPPORTED: "the registry does not support deletion",
    StepStatus.REFUSED: (
        "the registry refuses to delete it (connect it with a credential that may delete: system_connect_registry)"
    ),
}


def purge(context: Context, publication_id: UUID, *, actor: str) -> str | None:
    """Delete a retired publication's manifests; return None when it is purged, else why its bytes are kept.

    Raises RegistryUnavailable when the registry is away: once a delete was asked for the plan stays, and the next call
    goes on with it.
    """
    found = _find_due(context, publication_id)
    if found is None:
        return IN_USE
    publication, registry_name = found
    repository = parse_repository(publication.repository)
    registry = open_registry(context, publication.account_id, repository.host, registry_name)
    if not _steps(context, publication_id):
        try:
            planned = make_plan(context, registry, repository, publication)
        except Rejected as error:
            return f"what refers to it cannot be read: {error}"
        if not _begin(context, publication_id, planned):
            return IN_USE
    for step in _steps(context, publication_id):
        if step.status not in DONE and _delete(context, registry, repository, step) in REFUSALS:
            break
    return _finish(context, registry, repository, publication, actor=actor)


def _find_due(context: Context, publication_id: UUID) -> tuple[Publication, str | None] | None:
    """Return a publication that is due, and the name of the connection to its registry, if the platform's is it."""
    with context.catalog.reading() as session:
        publication = session.get_one(Publication, publication_id)
        platform = session.get_one(NodePlatform, publication.node_platform_id)
    if not _is_due(context, publication, platform):
        return None
    # A platform that moved to another registry names the connection of that one.
    moved = parse_repository(platform.oci_repository).host != parse_repository(publication.repository).host
    return publication, None if moved else platform.registry_name


def _is_due(context: Context, publication: Publication, platform: NodePlatform) -> bool:
    wanted = publication.pinned or platform.default_publication_id == publication.id
    over = publication.retired_at is not None and context.clock.now() - publication.retired_at >= GRACE
    return publication.status == Status.RETIRED and over and not wanted


def _begin(context: Context, publication_id: UUID, planned: Sequence[Planned]) -> bool:
    """Write the plan, unless the publication is wanted again; from here on it cannot be restored."""
    now = context.clock.now()
    with context.catalog.writing() as session:
        publication = session.get_one(Publication, publication_id, with_for_update=True)
        platform = session.get_one(NodePlatform, publication.node_platform_id)
        if not _is_due(context, publication, platform):
            return False
        if _steps_in(session, publication_id):  # another sweep was faster: its plan is as good
            return True
        publication.purge_begun_at = now
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
        return True


def _steps(context: Context, publication_id: UUID) -> list[DeletionStep]:
    with context.catalog.reading() as session:
        return _steps_in(session, publication_id)


def _steps_in(session: Session, publication_id: UUID) -> list[DeletionStep]:
    query = select(DeletionStep).where(DeletionStep.publication_id == publication_id)
    return list(session.scalars(query.order_by(DeletionStep.position)))


def _delete(context: Context, registry: Registry, repository: Repository, step: DeletionStep) -> StepStatus:
    because = who_shares(context, registry, repository, step) or _take_up(context, repository, step)
    if because is not None:
        _mark(context, step, StepStatus.KEPT, because)
        return StepStatus.KEPT
    answer = registry.delete_manifest(repository, step.digest)
    status = {
        Deletion.DELETED: StepStatus.DELETED,
        Deletion.ABSENT: StepStatus.ABSENT,
        Deletion.UNSUPPORTED: StepStatus.UNSUPPORTED,
        Deletion.REFUSED: StepStatus.REFUSED,
    }[answer]
    _mark(context, step, status, REFUSALS.get(status))
    return status


def _take_up(context: Context, repository: Repository, step: DeletionStep) -> str | None:
    """Mark a delete as asked for, or say who needs the manifest; whoever claims its digest sees one or the other."""
    with context.catalog.writing() as session:
        locks.hold(session, [repository.at(step.digest), repository.at(step.subject)])
        because = who_needs(session, step, now=context.clock.now())
        if because is None:
            session.execute(
                update(DeletionStep).where(DeletionStep.id == step.id).values(status=StepStatus.DELETING, because=None)
            )
        return because


def _mark(context: Context, step: DeletionStep, status: StepStatus, because: str | None) -> None:
    with context.catalog.writing() as session:
        session.execute(
            update(DeletionStep)
            .where(DeletionStep.id == step.id)
            .values(status=status, because=because, updated_at=context.clock.now())
        )


def _finish(
    context: Context, registry: Registry, repository: Repository, publication: Publication, *, actor: str
) -> str | None:
    statuses = [StepStatus(step.status) for step in _steps(context, publication.id)]
    refusal = next((REFUSALS[status] for status in statuses if status in REFUSALS), None)
    if refusal is None:
        return _write_purged(context, publication.id, actor=actor)
    if StepStatus.DELETED not in statuses and _has(registry, repository, publication.oci_digest):
        # Nothing is gone. It is planned anew by the next sweep: a registry's settings change.
        _write_undone(context, publication.id)
    return refusal


def _has(registry: Registry, repository: Repository, digest: str) -> bool:
    try:
        registry.fetch_manifest(repository, digest)
    except ContentRejected:
        return False
    return True


def _write_purged(context: Context, publication_id: UUID, *, actor: str) -> str | None:
    now = context.clock.now()
    with context.catalog.writing() as session:
        publication = session.get_one(Publication, publication_id, with_for_update=True)
        if publication.status == Status.PURGED:  # by a sweep beside this one
            return None
        steps = _steps_in(session, publication_id)
        if not steps or any(step.status not in DONE for step in steps):
            return "another sweep is at it"
        publication.status = publication_rules.PUBLICATION.move("purge", Status(publication.status))
        publication.purged_at = now
        publication.purge_begun_at = None
        session.execute(delete(DeletionStep).where(DeletionStep.publication_id == publication_id))
        record_swept(session, events.Kind.RETENTION_SWEPT, publication, action="purged", actor=actor, at=now)
        return None


def _write_undone(context: Context, publication_id: UUID) -> None:
    """Let a publication be restored again of which nothing was deleted."""
    with context.catalog.writing() as session:
        session.get_one(Publication, publication_id, with_for_update=True).purge_begun_at = None
        session.execute(delete(DeletionStep).where(DeletionStep.publication_id == publication_id))
