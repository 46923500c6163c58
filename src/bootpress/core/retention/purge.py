"""Purge a retired publication from its registry by a plan that is written down before the first delete.

Order (docs/reference/contract.md#keeping-images): the subject, an index's children, the referrers, the
fallback index. A step that was done is never repeated, so a purge goes on where it was interrupted, and of two sweeps
at once one does the work. What was not begun, or turns out not to be allowed before anything is gone, leaves a
publication that can be restored.

A plan may have thousands of steps, and counts once `purge_begun_at` is written with its last piece.
"""

from __future__ import annotations

from uuid import UUID

from bootpress.core.connections.service import find_connection
from bootpress.core.context import Context
from bootpress.core.errors import ContentRejected, Rejected
from bootpress.core.events.service import Kind
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.ports import RegistryConnection
from bootpress.core.publications import events
from bootpress.core.publications import rules as publication_rules
from bootpress.core.publications.models import Publication
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.references import parse_repository
from bootpress.core.retention import steps
from bootpress.core.retention.deletion_plan import make_plan
from bootpress.core.retention.deletion_steps import REFUSALS, delete_step
from bootpress.core.retention.elsewhere import Elsewhere
from bootpress.core.retention.identity import Place
from bootpress.core.retention.states import StepStatus
from bootpress.core.retention.unreachable import Unreachable
from bootpress.core.retention.usage import connection_name, is_due

IN_USE = "it is in use again"
BUSY = "another sweep is at it"
_STOPS = frozenset({*REFUSALS, StepStatus.HELD})


def purge(context: Context, publication_id: UUID, *, actor: str, unreachable: Unreachable | None = None) -> str | None:
    """Delete a retired publication's manifests; return None when it is purged, else what is kept and why.

    Raises RegistryUnavailable when the registry is away: once a delete was asked for the plan stays, and the next call
    goes on with it. It is RegistryUnreachable when the registry is given up, which `unreachable` then knows.
    """
    found = _find_due(context, publication_id)
    if found is None:
        return IN_USE
    publication, connection = found
    here = Place(context.registries.open(connection), parse_repository(publication.repository))
    run = unreachable or Unreachable()
    with run.asking(publication.account_id, connection, here.registry):
        elsewhere = Elsewhere(context, publication.account_id, here, run)
        return _purge(context, here, publication, elsewhere, actor=actor)


def _purge(context: Context, here: Place, publication: Publication, elsewhere: Elsewhere, *, actor: str) -> str | None:
    if publication.purge_begun_at is None:
        try:
            planned = make_plan(context, here.registry, here.repository, publication)
        except Rejected as error:
            return f"what refers to it cannot be read: {error}"
        written = steps.write(context, publication.id, planned)
        if written is not steps.Written.ALL:
            return IN_USE if written is steps.Written.IN_USE else BUSY
    for step in steps.unfinished(context, publication.id):
        decision = delete_step(context, here, step, elsewhere)
        if decision is None:
            return BUSY
        if decision.status in _STOPS:
            break
    return _finish(context, here, publication, actor=actor)


def _find_due(context: Context, publication_id: UUID) -> tuple[Publication, RegistryConnection] | None:
    """Return a publication that is due, and the connection to its registry."""
    with context.catalog.read_session() as session:
        publication = session.get_one(Publication, publication_id)
        platform = session.get_one(NodePlatform, publication.node_platform_id)
    if not is_due(publication, platform, context.clock.now()):
        return None
    repository = parse_repository(publication.repository)
    name = connection_name(platform, repository)
    return publication, find_connection(context, publication.account_id, repository.host, name)


def _finish(context: Context, here: Place, publication: Publication, *, actor: str) -> str | None:
    stopped = steps.find(context, publication.id, _STOPS)
    if stopped is None:
        return _write_purged(context, publication.id, actor=actor)
    begun = steps.find(context, publication.id, {StepStatus.DELETING, StepStatus.DELETED})
    if begun is None and _has(here, publication.oci_digest):
        # Nothing is gone. It is planned anew by the next sweep: a registry's settings change.
        _write_undone(context, publication.id)
    return stopped.because


def _has(here: Place, digest: str) -> bool:
    try:
        here.registry.fetch_manifest(here.repository, digest)
    except ContentRejected:
        return False
    return True


def _write_purged(context: Context, publication_id: UUID, *, actor: str) -> str | None:
    left = steps.told_of_left(context, publication_id)
    now = context.clock.now()
    with context.catalog.transaction() as session:
        publication = session.get_one(Publication, publication_id, with_for_update=True)
        if publication.status == Status.PURGED:  # by a sweep beside this one
            return None
        if publication.purge_begun_at is None or steps.has_unfinished(session, publication_id):
            return BUSY
        publication.status = publication_rules.PUBLICATION.transition("purge", Status(publication.status))
        publication.purged_at = now
        publication.purge_begun_at = None
        events.record(session, Kind.RETENTION_SWEPT, publication, actor=actor, at=now, action="purged")
    steps.clear(context, publication_id)
    return f"it is purged, but {left}" if left else None


def _write_undone(context: Context, publication_id: UUID) -> None:
    """Let a publication be restored again of which nothing was deleted, unless a sweep went on with its plan."""
    with context.catalog.transaction() as session:
        publication = session.get_one(Publication, publication_id, with_for_update=True)
        if steps.has(session, publication_id, {StepStatus.DELETING, StepStatus.DELETED}):
            return
        publication.purge_begun_at = None
    steps.clear(context, publication_id)
