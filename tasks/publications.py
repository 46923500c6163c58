"""The steps from an announcement to a publication, as tasks."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from logging import Logger, LoggerAdapter
from typing import Final
from uuid import UUID

from prefect import task
from prefect.logging import get_run_logger

from bootpress.core.publications import completion, ingest, service
from bootpress.wiring import get_context
from tasks import yielding
from tasks.retries import NO_RETRY_TASK, RETRYABLE_TASK

BATCH_THREADS: Final = 4
"""Deliveries of one batch under way at once."""


@task(name="announce", **NO_RETRY_TASK)
def announce(platform: str, reference: str) -> UUID:
    """Make the record that a webhook would make; return the delivery's id."""
    return service.create_manual_delivery(get_context(), platform=platform, reference=reference, actor="prefect")


@task(name="resolve", **RETRYABLE_TASK)
def resolve(attempt_id: UUID) -> bool:
    """Find platform, repository and digest; False when this digest is settled already."""
    return ingest.resolve(get_context(), attempt_id)


@task(name="read manifest", **RETRYABLE_TASK)
def read_manifest(attempt_id: UUID) -> None:
    """Fetch the manifest by digest, and an index's children."""
    facts = ingest.read_manifest(get_context(), attempt_id)
    get_run_logger().info("%(media_type)s for %(arch)s, %(size_bytes)d bytes", facts)


@task(name="verify signature", **RETRYABLE_TASK)
def verify_signature(attempt_id: UUID) -> None:
    """Check that somebody whom the platform trusts signed exactly this digest."""
    facts = ingest.verify_signature(get_context(), attempt_id)
    signer = facts["signer"]
    get_run_logger().info("signed by %s (%s)", signer["identity"] or signer["key_sha256"], facts["format"])


@task(name="verify blobs", **RETRYABLE_TASK)
def verify_blobs(attempt_id: UUID) -> None:
    """Stream every blob and check its size and SHA-256."""
    facts = ingest.verify_blobs(get_context(), attempt_id)
    get_run_logger().info("%(blobs)d blobs, %(bytes)d bytes, every one as its digest says", facts)


@task(name="publish", **RETRYABLE_TASK)
def publish(attempt_id: UUID) -> UUID:
    """Publish what was proven, in one transaction; return the publication's id."""
    return completion.publish(get_context(), attempt_id)


def ingest_all(batch: Sequence[tuple[UUID, UUID]]) -> list[str]:
    """Do all steps for each delivery of a batch, on threads; return in a word what became of each, in their order.

    No task for each: its three events cost Prefect more than most deliveries cost us. The run's log says what became
    of each, and its report shows it.
    """
    log = get_run_logger()
    with ThreadPoolExecutor(BATCH_THREADS, thread_name_prefix="batch") as threads:
        return [*threads.map(partial(_ingest, log), batch)]


def _ingest(log: Logger | LoggerAdapter[Logger], held: tuple[UUID, UUID]) -> str:
    delivery_id, attempt_id = held
    try:
        with yielding.of_runs.delivery_of_batch():
            outcome = ingest.ingest_delivery(get_context(), delivery_id, attempt_id=attempt_id)
    except Exception:
        # It could not even be settled: its lease runs out, and the relay takes it.
        log.exception("delivery %s: died", delivery_id)
        return "died"
    log.info("delivery %s: %s", delivery_id, outcome)
    return outcome
