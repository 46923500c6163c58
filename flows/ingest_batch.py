"""Many deliveries in one run."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.attempts import renewing_leases
from tasks.maintenance import list_batch, relay_deliveries
from tasks.publications import ingest_all
from tasks.reports import report_ingest


@flow(name="ingest-backlog")
def backlog(batch_id: UUID) -> State[None]:
    """Ingest a batch of deliveries of one account, and start what waits behind them.

    Args:
        batch_id: The batch that `relay` made.
    """
    batch = list_batch(batch_id)
    attempt_ids = [attempt_id for _, attempt_id in batch]
    with renewing_leases(attempt_ids):
        outcomes = Counter(ingest_all(batch))
    if attempt_ids:
        report_ingest(attempt_ids)
    relay_deliveries()
    return Completed(message=", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))
