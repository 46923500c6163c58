"""From an announcement to a publication."""

from __future__ import annotations

from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from bootpress.core.errors import Superseded
from tasks.attempts import TakenOver, attempt_scope, begin
from tasks.publications import publish, read_manifest, resolve, verify_blobs, verify_signature
from tasks.reports import report_ingest


@flow(name="ingest-publication")
def ingest(delivery_id: UUID) -> str | State[None]:
    """Verify what one delivery announces, byte by byte and by its signature, and publish it.

    A run whose delivery is another attempt's ends as Superseded: it has nothing to do, or what it did counts no more.

    Args:
        delivery_id: The delivery, as `system_list_disk_image_deliveries` shows it.
    """
    try:
        attempt_id = begin(delivery_id)
    except Superseded as reason:
        return Completed(name="Superseded", message=f"Nothing to do: {reason}")
    return run_attempt(attempt_id)


def run_attempt(attempt_id: UUID) -> str | State[None]:
    """Take all steps of an attempt that was begun, and report; what it meets is settled, and raised."""
    try:
        with attempt_scope(attempt_id):
            if not resolve(attempt_id):
                return "announced again"
            read_manifest(attempt_id)
            verify_signature(attempt_id)
            verify_blobs(attempt_id)
            publish(attempt_id)
    except TakenOver as reason:
        return Completed(name="Superseded", message=str(reason))
    finally:
        report_ingest([attempt_id])
    return "published"
