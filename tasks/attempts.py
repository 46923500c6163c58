"""Hold a delivery while a flow works on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import httpx
from prefect import task
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger

from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.rules import LEASE
from bootpress.core.errors import CatalogUnavailable
from bootpress.core.publications import completion
from bootpress.wiring import get_context
from tasks import yielding
from tasks.retries import RETRYABLE_TASK

RENEWALS_PER_LEASE = 3


class TakenOver(Exception):
    """Another attempt holds the delivery: what this one found is written nowhere."""


@task(name="begin", **RETRYABLE_TASK)
def begin(delivery_id: UUID) -> UUID:
    """Take the delivery up: from here on it is processing, and its tag may be read; return the attempt's id."""
    run_id, key = _run()
    attempt_id = attempts.start(get_context(), delivery_id, attempt_id=key, flow_run_id=run_id)
    if run_id is not None and key is None:
        _name_run(run_id, delivery_id)
    return attempt_id


@contextmanager
def attempt_scope(attempt_id: UUID) -> Iterator[None]:
    """Keep an attempt's lease while the block runs; if it raises, settle the delivery and pass the error on.

    Raises TakenOver in place of whatever the block met once another attempt holds the delivery.
    """
    with renewing_leases([attempt_id]), yielding.of_runs.single():
        try:
            yield
        except Exception as error:
            outcome = completion.finish_with_error(get_context(), attempt_id, error)
            if outcome == "superseded":
                raise TakenOver(f"Another attempt holds the delivery by now; this one met: {error}") from error
            get_run_logger().error("%s: %s", outcome, completion.error_message(error))
            raise


@contextmanager
def renewing_leases(attempt_ids: Sequence[UUID]) -> Iterator[None]:
    """Renew leases from a thread of its own while the block runs."""
    over = threading.Event()
    renewing = threading.Thread(target=_renew, args=(attempt_ids, over), name="renew-leases", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()


def _renew(attempt_ids: Sequence[UUID], over: threading.Event) -> None:
    while not over.wait(LEASE.total_seconds() / RENEWALS_PER_LEASE):
        try:
            attempts.renew(get_context(), attempt_ids)
        except CatalogUnavailable:
            # The lease may run out: then another attempt takes over, and this one can decide nothing.
            continue


def _name_run(run_id: UUID, delivery_id: UUID) -> None:
    """Give a run that somebody started by hand the name that the launcher would have given it."""
    try:
        with get_client(sync_client=True) as client:
            client.set_flow_run_name(run_id, attempts.run_name(get_context(), delivery_id))
    except httpx.HTTPError as error:
        get_run_logger().info("the run keeps its name: %r", error)


def _run() -> tuple[UUID | None, UUID | None]:
    """Return the flow run's id, and the attempt it was launched for, which is its idempotency key."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    if run is None:
        return None, None
    try:
        return run.id, UUID(run.idempotency_key or "")
    except ValueError:
        return run.id, None
