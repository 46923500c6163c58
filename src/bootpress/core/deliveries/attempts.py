"""Attempts: who is working on a delivery, for how long we believe so, and who takes over.

A launch is an attempt with a lease. Whoever works renews it; when it runs out, `relay` makes a new attempt, and the
old one can no longer decide anything. Truth is here: the orchestrator only runs what this says.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from bootpress.core.breakers import service as breakers
from bootpress.core.context import Context
from bootpress.core.deliveries import fair_queueing, queues, rules
from bootpress.core.deliveries.leases import is_live, live_condition, lock_due
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.deliveries.states import AttemptStatus, DeliveryStatus
from bootpress.core.errors import NotFound, OrchestratorUnavailable, Superseded
from bootpress.core.pieces import ROWS, in_pieces
from bootpress.core.ports import JobKind

RELAY_AT_ONCE = 500
QUEUES_COUNTED = 50
MADE_AT_ONCE = ROWS // 3
"""Attempts made in one transaction: each ends the one before it, and changes its delivery."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RelayReport:
    """What one relay started, and how many deliveries still wait for a place."""

    launched: int
    batches: int
    waiting: int


def launch_due(context: Context, *, on_launch: Callable[[], None] = lambda: None) -> RelayReport:
    """Start due deliveries that nobody works on, shared fairly: one run each while few wait, batches of many.

    Safe to call from several places at once: an attempt is made in a transaction before its run is asked for, and
    taken back when the orchestrator is away (then OrchestratorUnavailable, after taking back). `on_launch` is called
    after each run that the orchestrator took, for it may take some and not the next.
    """
    found, launches = _plan(context)
    launched = batches = 0
    for launch in launches:
        start = _launch_batch if launch.is_batch else _launch_singles
        count = start(context, launch.delivery_ids)
        batches += launch.is_batch
        launched += count
        if count:
            on_launch()
    return RelayReport(launched, batches, _count_waiting(context, found))


@dataclass(frozen=True, slots=True)
class _Planned:
    delivery_ids: Sequence[UUID]
    is_batch: bool


def _plan(context: Context) -> tuple[list[fair_queueing.Queue], list[_Planned]]:
    """Return the queues that may be served now, and the runs to start, in order."""
    now = context.clock.now()
    with context.catalog.read_session() as session:
        found = queues.find_queues(session, now, most=context.limits.most_launched)
        caps = breakers.places(session, {queue.site for queue in found}, now)
        served = [queue for queue in found if caps.get(queue.site, 1) > 0]
        launches = fair_queueing.plan(served, queues.find_running(session, now), context.limits, caps=caps)
        totals: Counter[UUID] = Counter()
        for launch in launches:
            totals.update(launch.takes)
        heads = {one: iter(queues.heads(session, one, now, most=count)) for one, count in totals.items()}
    planned = [
        _Planned([one for queue, count in launch.takes.items() for one in islice(heads[queue], count)], launch.is_batch)
        for launch in launches
    ]
    return served, [one for one in planned if one.delivery_ids]


def _count_waiting(context: Context, served: Sequence[fair_queueing.Queue]) -> int:
    """Count what is left in queues that are not paused: up to 500, in the first 50."""
    now = context.clock.now()
    waiting = 0
    with context.catalog.read_session() as session:
        for queue in served[:QUEUES_COUNTED]:
            waiting += len(queues.heads(session, queue.id, now, most=RELAY_AT_ONCE - waiting))
            if waiting >= RELAY_AT_ONCE:
                break
    return waiting


def launch(context: Context, delivery_id: UUID) -> bool:
    """Start one delivery if there is a place for it; False leaves it to `relay`."""
    if _singles_in_flight(context) >= context.limits.launches_in_flight:
        return False
    return bool(_launch_one(context, delivery_id))


def launch_or_defer(context: Context, delivery_id: UUID) -> bool:
    """Start one delivery, or leave it to `relay` where there is no place or the orchestrator is away."""
    try:
        return launch(context, delivery_id)
    except OrchestratorUnavailable as error:
        logger.info("delivery %s waits for the relay: %s", delivery_id, error)
        return False


def start(context: Context, delivery_id: UUID, *, attempt_id: UUID | None, flow_run_id: UUID | None) -> UUID:
    """Take up a delivery and return the attempt that now holds it; from here on it is never `received` again.

    `attempt_id` is the attempt that the run was launched for; without one (somebody started the run by hand) a new
    attempt is made. Raises Superseded when the delivery is finished or another attempt holds it.
    """
    now = context.clock.now()
    with context.catalog.transaction() as session:
        delivery = session.get(Delivery, delivery_id, with_for_update=True)
        if delivery is None:
            raise NotFound(f"no delivery {delivery_id}")
        if delivery.status not in rules.UNFINISHED:
            raise Superseded(f"delivery {delivery_id} is {delivery.status} already")
        current = session.get(Attempt, delivery.current_attempt_id) if delivery.current_attempt_id else None
        if current is None or current.id != attempt_id or current.status == AttemptStatus.ENDED:
            if current is not None and is_live(current, now):
                raise Superseded(f"delivery {delivery_id} is held by another attempt")
            current = _add_attempt(session, delivery, now, batch_id=None, attempt_id=_unused(session, attempt_id))
        if current.status == AttemptStatus.LAUNCHING:
            _count_try(session, delivery, now)
        delivery.status = rules.DELIVERY.transition("begin", DeliveryStatus(delivery.status))
        current.status = AttemptStatus.RUNNING
        current.flow_run_id = flow_run_id
        current.lease_until = now + rules.LEASE
        return current.id


def _unused(session: Session, attempt_id: UUID | None) -> UUID | None:
    # A launch that was taken back and took effect all the same: under the id that its run renews.
    known = attempt_id is not None and session.get(Attempt, attempt_id) is not None
    return None if known else attempt_id


def _count_try(session: Session, delivery: Delivery, now: datetime) -> None:
    failing_since = queues.host_failing_since(session, delivery, now)
    if rules.is_new_series(last_attempt_ended_at=delivery.last_attempt_ended_at, failing_since=failing_since, now=now):
        delivery.retry_window_started_at = now
        delivery.postponed_count = 0
    delivery.attempt_count += 1
    delivery.unacknowledged_launches = 0


def attempts_of_batch(context: Context, batch_id: UUID) -> list[tuple[UUID, UUID]]:
    """Return the deliveries of a batch and the attempt made for each."""
    with context.catalog.read_session() as session:
        query = select(Attempt.delivery_id, Attempt.id).where(
            Attempt.batch_id == batch_id, Attempt.status != AttemptStatus.ENDED
        )
        return [(delivery_id, attempt_id) for delivery_id, attempt_id in session.execute(query.order_by(Attempt.id))]


def renew(context: Context, attempt_ids: Sequence[UUID]) -> None:
    """Give a sign of life for attempts that have not ended."""
    with context.catalog.transaction() as session:
        session.execute(
            update(Attempt)
            .where(Attempt.id.in_(attempt_ids), Attempt.status != AttemptStatus.ENDED)
            .values(lease_until=context.clock.now() + rules.LEASE)
        )


def lock_current(session: Session, attempt_id: UUID) -> tuple[Attempt, Delivery]:
    """Lock an attempt's delivery in the running transaction; Superseded unless the attempt still holds it."""
    attempt = session.get(Attempt, attempt_id)
    delivery = session.get(Delivery, attempt.delivery_id, with_for_update=True) if attempt else None
    # Read again behind the lock: somebody may have ended it while we waited.
    attempt = session.get(Attempt, attempt_id, populate_existing=True)
    if attempt is None or delivery is None:
        raise Superseded(f"attempt {attempt_id} was taken back: its launch seemed to have failed")
    if delivery.current_attempt_id != attempt.id or attempt.status != AttemptStatus.RUNNING:
        raise Superseded(f"attempt {attempt_id} no longer holds delivery {delivery.id}")
    return attempt, delivery


def finish(attempt: Attempt, *, outcome: str, at: datetime) -> None:
    """Mark an attempt over, in the running transaction."""
    attempt.status = AttemptStatus.ENDED
    attempt.outcome = outcome
    attempt.ended_at = at


def _launch_one(context: Context, delivery_id: UUID) -> int:
    made = _make_attempts(context, [delivery_id], batch_id=None)
    for attempt_id, run_name in made.items():
        with _given_back(context, [attempt_id]):
            run_id = context.launcher.launch(JobKind.DELIVERY, delivery_id, key=attempt_id, run_name=run_name)
            _remember_run(context, [attempt_id], run_id)
    return len(made)


def _launch_singles(context: Context, delivery_ids: Sequence[UUID]) -> int:
    return sum(_launch_one(context, delivery_id) for delivery_id in delivery_ids)


def _launch_batch(context: Context, delivery_ids: Sequence[UUID]) -> int:
    batch_id = uuid4()
    made: dict[UUID, str] = {}
    for piece in in_pieces(context.catalog, delivery_ids, size=MADE_AT_ONCE):
        made.update(_make_attempts(context, piece, batch_id=batch_id))
    if made:
        with _given_back(context, list(made)):
            run_id = context.launcher.launch(JobKind.BATCH, batch_id, key=batch_id, run_name=f"{len(made)} deliveries")
            _remember_run(context, list(made), run_id)
    return len(made)


def _make_attempts(context: Context, delivery_ids: Sequence[UUID], *, batch_id: UUID | None) -> dict[UUID, str]:
    """Make an attempt for each delivery that is still due; return the run name for each attempt."""
    now = context.clock.now()
    made: dict[UUID, str] = {}
    with context.catalog.transaction() as session:
        for delivery in lock_due(session, now, Delivery.id.in_(delivery_ids), limit=len(delivery_ids)):
            attempt = _add_attempt(session, delivery, now, batch_id=batch_id)
            delivery.unacknowledged_launches += 1
            made[attempt.id] = _name_of(delivery)
    return made


def run_name(context: Context, delivery_id: UUID) -> str:
    """Return what a run for a delivery is called, so that a person finds it; NotFound for an unknown delivery."""
    with context.catalog.read_session() as session:
        delivery = session.get(Delivery, delivery_id)
    if delivery is None:
        raise NotFound(f"no delivery {delivery_id}")
    return _name_of(delivery)


def _name_of(delivery: Delivery) -> str:
    """Name the platform, and the commit or else what was announced."""
    name, at, digest = delivery.oci_ref.rpartition("/")[2].partition("@")
    announced = f"{name}{at}{digest[:19]}"[-60:]
    return f"{delivery.platform_slug[:60]} @ {delivery.git_sha[:12] if delivery.git_sha else announced}"


def _add_attempt(
    session: Session, delivery: Delivery, now: datetime, *, batch_id: UUID | None, attempt_id: UUID | None = None
) -> Attempt:
    previous = session.get(Attempt, delivery.current_attempt_id) if delivery.current_attempt_id else None
    if previous is not None and previous.status == AttemptStatus.RUNNING:
        delivery.last_attempt_ended_at = min(previous.lease_until, now)
        finish(previous, outcome="lease ran out", at=now)
    elif previous is not None and previous.status == AttemptStatus.LAUNCHING:
        finish(previous, outcome="never began", at=now)
    attempt = Attempt(
        id=attempt_id or uuid4(),
        delivery_id=delivery.id,
        batch_id=batch_id,
        status=AttemptStatus.LAUNCHING,
        lease_until=now + rules.launch_lease(delivery.unacknowledged_launches),
        evidence={},
        created_at=now,
    )
    session.add(attempt)
    delivery.current_attempt_id = attempt.id
    return attempt


@contextmanager
def _given_back(context: Context, attempt_ids: Sequence[UUID]) -> Iterator[None]:
    """Take attempts back whose launch failed: they count for nothing, and the next relay takes their deliveries."""
    try:
        yield
    except OrchestratorUnavailable:
        with context.catalog.transaction() as session:
            # Behind the lock, nothing begins that is about to go.
            held = select(Delivery).where(Delivery.current_attempt_id.in_(attempt_ids)).order_by(Delivery.id)
            deliveries = session.scalars(held.with_for_update()).all()
            waiting = select(Attempt).where(Attempt.id.in_(attempt_ids), Attempt.status == AttemptStatus.LAUNCHING)
            attempts = {attempt.id: attempt for attempt in session.scalars(waiting)}
            for delivery in deliveries:
                attempt = attempts.get(delivery.current_attempt_id) if delivery.current_attempt_id else None
                if attempt is not None:
                    session.delete(attempt)
                    delivery.current_attempt_id = None
                    # A start that came meanwhile has set it to nothing.
                    delivery.unacknowledged_launches = max(0, delivery.unacknowledged_launches - 1)
        raise


def _remember_run(context: Context, attempt_ids: Sequence[UUID], run_id: UUID) -> None:
    with context.catalog.transaction() as session:
        session.execute(
            update(Attempt).where(Attempt.id.in_(attempt_ids), Attempt.flow_run_id.is_(None)).values(flow_run_id=run_id)
        )


def _singles_in_flight(context: Context) -> int:
    query = select(func.count(Attempt.id)).where(
        live_condition(Attempt, context.clock.now()), Attempt.batch_id.is_(None)
    )
    with context.catalog.read_session() as session:
        return session.scalar(query) or 0
