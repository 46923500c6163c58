"""Announce an image by hand, and ingest it."""

from __future__ import annotations

from prefect import flow
from prefect.client.schemas.objects import State

from flows.ingest import ingest
from tasks.publications import announce


@flow(name="ingest-publication", flow_run_name="{platform} @ {reference}")
def ingest_manual(platform: str, reference: str) -> str | State[None]:
    """Ingest an image that no webhook announced; it leaves the same record as a delivery.

    Args:
        platform: The node platform's slug or id.
        reference: The image: host/path:tag or host/path@sha256:…
    """
    return ingest.fn(announce(platform, reference))
