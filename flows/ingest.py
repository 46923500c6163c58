"""From an announcement to a publication."""

from __future__ import annotations

from uuid import UUID

from prefect import flow
from prefect.logging import get_run_logger

from bootpress.core.errors import Superseded
from tasks.attempts import begin, holding
from tasks.publications import publish, read_manifest, resolve, verify_blobs, verify_signature
from tasks.reports import report_ingest


@flow(name="ingest-publication")
def ingest(delivery_id: UUID) -> str:
    """Verify what one delivery announces, byte by byte and by its signature, and publish it.

    Args:
        delivery_id: The delivery, as `system_list_disk_image_deliveries` shows it.
    """
    try:
        attempt_id = begin(delivery_id)
    except Superseded as reason:
        get_run_logger().info("nothing to do: %s", reason)
        return "superseded"
    try:
        with holding(attempt_id):
            if not resolve(attempt_id):
                return "announced again"
            read_manifest(attempt_id)
            verify_signature(attempt_id)
            verify_blobs(attempt_id)
            publish(attempt_id)
    finally:
        report_ingest([attempt_id])
    return "published"
