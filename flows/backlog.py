"""Many deliveries in one run."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from prefect.task_runners import ThreadPoolTaskRunner

from tasks.attempts import leased
from tasks.publications import ingest_delivery
from tasks.relaying import deliveries_of, relay_deliveries
from tasks.reports import report_ingest

THREADS = 8


@flow(name="ingest-backlog", task_runner=ThreadPoolTaskRunner(max_workers=THREADS))  # type: ignore[arg-type]  # generic
def backlog(batch_id: UUID) -> State[None]:
    """Ingest a batch of deliveries, a task each, and start what waits behind them.

    Args:
        batch_id: The batch that `relay` made.
    """
    batch = deliveries_of(batch_id)
    attempt_ids = [attempt_id for _, attempt_id in batch]
    with leased(attempt_ids):
        futures = ingest_delivery.map([delivery_id for delivery_id, _ in batch], attempt_ids)
        outcomes = Counter(_outcome(future.result(raise_on_failure=False)) for future in futures)
    if attempt_ids:
        report_ingest(attempt_ids)
    relay_deliveries()
    return Completed(message=", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))


def _outcome(result: object) -> str:
    # A task that could not even settle its delivery: its lease runs out, and the relay takes it.
    return result if isinstance(result, str) else "died"
