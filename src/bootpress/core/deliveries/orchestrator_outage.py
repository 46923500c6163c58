"""Outage of Prefect or a registry host for a day: what waits is failed (docs/reference/contract.md#delivery-states).

A registry host that fails is asked by one delivery at a time, so of many that wait some have no turn of their own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, literal_column, select
from sqlalchemy.orm import Session

from bootpress.core.breakers import service as breakers
from bootpress.core.context import Context
from bootpress.core.deliveries import queues
from bootpress.core.deliveries.fair_queueing import Queue
from bootpress.core.deliveries.leases import due_condition, lock_due
from bootpress.core.deliveries.models import UNFINISHED, Delivery
from bootpress.core.deliveries.rules import GIVE_UP_AFTER
from bootpress.core.errors import OrchestratorUnavailable, RegistryUnavailable
from bootpress.core.pieces import ROWS, pause
from bootpress.core.publications import completion

BATCH_SIZE = ROWS // 7
"""Deliveries failed in one transaction, each with its attempt, publication, platform, build, event and outbox row."""
MOST_AT_HOSTS = 20 * BATCH_SIZE
"""Deliveries that one look fails because of their hosts, so that it ends soon; the next goes on."""
logger = logging.getLogger(__name__)


class OutageTimer:
    """How long the orchestrator has taken nothing, as far as this process tried; a start begins anew."""

    def __init__(self, context: Context, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._context = context
        # The time that this process ran: a machine that slept, or whose clock is set, did not try.
        self._monotonic = monotonic
        self._since: float | None = None

    def reset(self) -> None:
        """Note that the orchestrator takes what it is given, or that nothing waits for it."""
        self._since = None

    def record_failure(self, reason: OrchestratorUnavailable) -> int:
        """Note that it took nothing; after a day of this, fail what has waited for a day. Return how many."""
        now = self._monotonic()
        self._since = now if self._since is None else self._since
        if now - self._since < GIVE_UP_AFTER.total_seconds():
            return 0
        return _give_up(self._context, reason)


def _give_up(context: Context, reason: OrchestratorUnavailable) -> int:
    said = completion.error_message(
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
    with context.catalog.transaction() as session:
        return _fail_due(session, now, [Delivery.received_at <= now - GIVE_UP_AFTER], said)


def _fail_due(session: Session, now: datetime, conditions: Sequence[ColumnElement[bool]], said: str) -> int:
    waited = lock_due(session, now, *conditions, limit=BATCH_SIZE)
    for delivery in waited:
        completion.fail_unattempted(session, delivery, reason=said, at=now)
    return len(waited)


def give_up_at_hosts(context: Context) -> int:
    """Fail what waited for 24 hours at a registry host that failed for as long; return how many, 280 at most."""
    now = context.clock.now()
    with context.catalog.read_session() as session:
        failing = breakers.failing_for(session, GIVE_UP_AFTER, now)
        found = queues.find_queues(session, now, most=1) if failing else []
    total = 0
    for queue in found:
        while queue.site in failing and total < MOST_AT_HOSTS and (given_up := _give_up_at_host(context, queue)):
            total += given_up
            pause(context.catalog)
    return total


def _give_up_at_host(context: Context, queue: Queue) -> int:
    now = context.clock.now()
    is_unfinished: ColumnElement[bool] = literal_column(f"({UNFINISHED})")
    waited = [Delivery.queue_id == queue.id, is_unfinished, Delivery.received_at <= now - GIVE_UP_AFTER]
    with context.catalog.read_session() as session:  # where there is nothing to do, no writer waits
        if session.scalar(select(Delivery.id).where(due_condition(now), *waited).limit(1)) is None:
            return 0
    with context.catalog.transaction() as session:
        reason = breakers.failing_for(session, GIVE_UP_AFTER, now).get(queue.site)
        return _fail_due(session, now, waited, _said_of_host(queue.host, reason)) if reason is not None else 0


def _said_of_host(host: str, reason: str) -> str:
    return completion.error_message(
        RegistryUnavailable(
            f"given up: for 24 hours the registry {host} did not answer; the last failure: {reason}",
            hint="announce the image again when the registry answers",
        )
    )
