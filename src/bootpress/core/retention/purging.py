"""Purge a retired publication from its registry by a plan that is written down before the first delete.

Order (DESIGN.md, Bytes): the subject, an index's children, the referrers, the fallback index. A step that was done
is never repeated, so a purge goes on where it was interrupted, and of two sweeps at once one does the work. What was
not begun, or turns out not to be allowed before anything is gone, leaves a publication that can be restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import delete

from bootpress.core.connections.service import open_registry
from bootpress.core.context import Context
from bootpress.core.errors import ContentRejected, Rejected
from bootpress.core.events.service import Kind
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.ports import Registry
from bootpress.core.publications import history
from bootpress.core.publications import rules as publication_rules
from bootpress.core.publications.models import Publication
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.references import Repository, parse_repository
from bootpress.core.retention.deleting import REFUSALS, delete_step, read_steps
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.planning import UNREAD, Planned, make_plan
from bootpress.core.retention.rules import GRACE
from bootpress.core.retention.states import DONE, StepStatus

IN_USE = "it is in use again"
BUSY = "another sweep is at it"


def purge(context: Context, publication_id: UUID, *, actor: str) -> str | None:
    """Delete a retired publication's manifests; return None when it is purged, else what is kept and why.

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
        if step.status in DONE:
            continue
        status = delete_step(context, registry, repository, step)
        if status is None:
            return BUSY
        if status in REFUSALS:
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
        if read_steps(session, publication_id):  # another sweep was faster: its plan is as good
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
                    status=StepStatus.PENDING if one.kept is None else StepStatus.KEPT,
                    because=one.kept,
                    updated_at=now,
                )
            )
        return True


def _steps(context: Context, publication_id: UUID) -> list[DeletionStep]:
    with context.catalog.reading() as session:
        return read_steps(session, publication_id)


def _finish(
    context: Context, registry: Registry, repository: Repository, publication: Publication, *, actor: str
) -> str | None:
    steps = _steps(context, publication.id)
    refusal = next((REFUSALS[StepStatus(step.status)] for step in steps if step.status in REFUSALS), None)
    if refusal is None:
        return _write_purged(context, publication.id, actor=actor)
    begun = {StepStatus.DELETING, StepStatus.DELETED}
    if begun.isdisjoint(step.status for step in steps) and _has(registry, repository, publication.oci_digest):
        # Nothing is gone. It is planned anew by the next sweep: a registry's settings change.
        _write_undone(context, publication.id, steps)
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
        steps = read_steps(session, publication_id)
        if not steps or any(step.status not in DONE for step in steps):
            return BUSY
        publication.status = publication_rules.PUBLICATION.move("purge", Status(publication.status))
        publication.purged_at = now
        publication.purge_begun_at = None
        session.execute(delete(DeletionStep).where(DeletionStep.publication_id == publication_id))
        history.record(session, Kind.RETENTION_SWEPT, publication, actor=actor, at=now, action="purged")
        left = [f"{step.digest}, which may be about it, stays: {step.because}" for step in steps if step.role == UNREAD]
        return f"it is purged, but {'; '.join(left)}" if left else None


def _write_undone(context: Context, publication_id: UUID, seen: Sequence[DeletionStep]) -> None:
    """Let a publication be restored again of which nothing was deleted, unless a sweep went on with its plan."""
    with context.catalog.writing() as session:
        publication = session.get_one(Publication, publication_id, with_for_update=True)
        steps = read_steps(session, publication_id, lock=True)
        if [(one.id, one.status, one.updated_at) for one in steps] == [
            (one.id, one.status, one.updated_at) for one in seen
        ]:
            publication.purge_begun_at = None
            session.execute(delete(DeletionStep).where(DeletionStep.publication_id == publication_id))
