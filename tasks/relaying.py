"""Start what waits, and hand events on."""

from __future__ import annotations

from uuid import UUID

from prefect import task

from bootpress.core.breakers import service as breakers
from bootpress.core.events import service as events
from bootpress.core.publications import outages
from bootpress.core.webhooks import attempts
from bootpress.core.workers import procedures
from bootpress.wiring import of_process
from tasks.retries import ONCE, RETRIED


@task(name="relay deliveries", **RETRIED)
def relay_deliveries() -> attempts.RelayReport:
    """Start every delivery that is due and that nobody works on; fail what waited for a day at a host that fails."""
    context = of_process()
    outages.give_up_at_hosts(context)
    return attempts.relay(context)


@task(name="emit events", **RETRIED)
def emit_events() -> int:
    """Hand events from the outbox to Prefect; return how many."""
    return events.emit_pending(of_process())


@task(name="tidy procedures", **RETRIED)
def tidy_procedures() -> int:
    """Delete what callers were to be told and did not come for, and what is long over; return how many answers."""
    context = of_process()
    breakers.forget_old(context)
    procedures.forget_old(context)
    return procedures.forget_answers(context)


@task(name="deliveries of the batch", **ONCE)
def deliveries_of(batch_id: UUID) -> list[tuple[UUID, UUID]]:
    """Return the deliveries of a batch, each with its attempt."""
    return attempts.attempts_of_batch(of_process(), batch_id)
