"""Start what waits, and hand events on."""

from __future__ import annotations

from uuid import UUID

from prefect import task

from bootpress.core.breakers import service as breakers
from bootpress.core.deliveries import attempts, orchestrator_outage
from bootpress.core.events import service as events
from bootpress.core.sagas import store
from bootpress.wiring import get_context
from tasks.retries import NO_RETRY_TASK, RETRYABLE_TASK


@task(name="relay deliveries", **RETRYABLE_TASK)
def relay_deliveries() -> attempts.RelayReport:
    """Start every delivery that is due and that nobody works on; fail what waited for a day at a host that fails."""
    context = get_context()
    orchestrator_outage.give_up_at_hosts(context)
    return attempts.launch_due(context)


@task(name="emit events", **RETRYABLE_TASK)
def emit_events() -> int:
    """Hand events from the outbox to Prefect; return how many."""
    return events.emit_pending(get_context())


@task(name="tidy sagas", **RETRYABLE_TASK)
def delete_expired_sagas() -> int:
    """Delete what callers were to be told and did not come for, and what is long over; return how many answers."""
    context = get_context()
    breakers.forget_old(context)
    store.delete_old_sagas(context)
    return store.delete_expired_answers(context)


@task(name="deliveries of the batch", **NO_RETRY_TASK)
def list_batch(batch_id: UUID) -> list[tuple[UUID, UUID]]:
    """Return the deliveries of a batch, each with its attempt."""
    return attempts.attempts_of_batch(get_context(), batch_id)
