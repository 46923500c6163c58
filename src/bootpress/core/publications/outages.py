"""An orchestrator that stays away: what it did not take for a day is failed (CONTRACT.md, Webhook)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from bootpress.core.context import Context
from bootpress.core.errors import OrchestratorUnavailable
from bootpress.core.pieces import ROWS, pause
from bootpress.core.publications import settling
from bootpress.core.webhooks.leases import lock_due
from bootpress.core.webhooks.models import Delivery
from bootpress.core.webhooks.rules import GIVE_UP_AFTER

AT_ONCE = ROWS // 7
"""Deliveries failed in one transaction, each with its attempt, publication, platform, build, event and outbox row."""
logger = logging.getLogger(__name__)


class Outage:
    """How long the orchestrator has taken nothing, as far as this process tried; a start begins anew."""

    def __init__(self, context: Context, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        # The time that this process ran: a machine that slept, or whose clock is set, did not try.
        self._monotonic = monotonic
        self._since: float | None = None

    def is_over(self) -> None:
        """Note that the orchestrator takes what it is given, or that nothing waits for it."""
        self._since = None

    def goes_on(self, reason: OrchestratorUnavailable) -> int:
        """Note that it took nothing; after a day of this, fail what has waited for a day. Return how many."""
        now = self._monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since < GIVE_UP_AFTER.total_seconds():
            return 0
        return _give_up(self._context, reason)


def _give_up(context: Context, reason: OrchestratorUnavailable) -> int:
    said = settling.explain(
        OrchestratorUnavailable(
            f"given up: for 24 hours Prefect took no delivery; the last reason: {reason.message}",
            hint="announce the image again when `bootpress doctor` finds Prefect well",
        )
    )
    total = 0
    while given_up := _give_up_some(context, said):
        total += given_up
        pause(context.catalog)
    if total:
        logger.warning("failed %d deliveries: %s", total, said)
    return total


def _give_up_some(context: Context, said: str) -> int:
    now = context.clock.now()
    with context.catalog.writing() as session:
        waited = lock_due(session, now, Delivery.received_at <= now - GIVE_UP_AFTER, limit=AT_ONCE)
        for delivery in waited:
            settling.give_up(session, delivery, reason=said, at=now)
        return len(waited)
