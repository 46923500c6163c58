"""The rows of what an image consists of: an index may name tens of thousands, so they are written in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select

from bootpress.core.context import Context
from bootpress.core.deliveries import attempts, budgets
from bootpress.core.pieces import ROWS, in_pieces
from bootpress.core.publications.acquire import lock_manifests
from bootpress.core.publications.models import Artifact
from bootpress.core.references import Repository


def record_artifacts(
    context: Context, attempt_id: UUID, publication_id: UUID, repository: Repository, rows: Sequence[Artifact]
) -> None:
    """Make the rows of a publication be these, manifests first; a repeat goes on with what is not there yet.

    Raises Superseded when another attempt holds the delivery, RegistryUnavailable while a manifest is being deleted.
    """
    wanted = {_key(row): row for row in rows}
    with context.catalog.read_session() as session:
        query = select(Artifact.manifest_digest, Artifact.digest, Artifact.title, Artifact.id)
        written = session.execute(query.where(Artifact.publication_id == publication_id))
        found = {(row[0], row[1], row[2]): row[3] for row in written}
    manifests = [row.digest for row in rows if row.role == "manifest"]
    missing = [row for key, row in wanted.items() if key not in found]
    missing.sort(key=lambda row: row.role != "manifest")
    free = max(0, budgets.ARTIFACTS_FREE - len(found))
    for piece in in_pieces(context.catalog, missing, size=ROWS - 1):  # the webhook's row is one more
        with context.catalog.transaction() as session:
            _, delivery = attempts.lock_current(session, attempt_id)
            budgets.charge(session, delivery.webhook_id, artifacts=len(piece) - free)
            free = max(0, free - len(piece))
            lock_manifests(session, repository, manifests)
            for row in piece:
                row.publication_id = publication_id
                session.add(row)
    stale = [id_ for key, id_ in found.items() if key not in wanted]
    for ids in in_pieces(context.catalog, stale):
        with context.catalog.transaction() as session:
            attempts.lock_current(session, attempt_id)
            session.execute(delete(Artifact).where(Artifact.id.in_(ids)))


def _key(row: Artifact) -> tuple[str, str, str]:
    return row.manifest_digest, row.digest, row.title
