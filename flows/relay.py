"""What keeps everything moving, every minute."""

from __future__ import annotations

from prefect import flow

from tasks.relaying import emit_events, forget_answers, relay_deliveries


@flow(name="relay-deliveries")
def relay() -> None:
    """Start every delivery that waits, and hand events from the outbox to Prefect."""
    relay_deliveries()
    emit_events()
    forget_answers()
