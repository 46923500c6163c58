"""What keeps everything moving, every minute."""

from __future__ import annotations

from prefect import flow

from tasks.builds import reconcile_builds
from tasks.maintenance import delete_expired_sagas, emit_events, relay_deliveries
from tasks.pruning import prune_history


@flow(name="relay-deliveries")
def relay() -> None:
    """Start every delivery that waits, hand events from the outbox to Prefect, prune history, and look after builds.

    Builds come last and within bounded time: a forge that is away holds up neither deliveries nor events. Pruning that
    fails holds up no build, and fails the run.
    """
    relay_deliveries()
    emit_events()
    delete_expired_sagas()
    pruned = prune_history(return_state=True)
    reconcile_builds()
    pruned.result()
