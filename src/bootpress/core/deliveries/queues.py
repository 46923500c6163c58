"""Queues of due deliveries in the database: which there are, what they hold, and what is in flight.

However many deliveries wait, a look costs a few index rows per queue: queues are found by skipping from one to the
next, and each is counted up to a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Integer, String, Uuid, bindparam, func, select, text, union_all
from sqlalchemy.orm import Session

from bootpress.core.breakers import service as breakers
from bootpress.core.database import UtcDateTime
from bootpress.core.deliveries import rules
from bootpress.core.deliveries.fair_queueing import Queue, Running
from bootpress.core.deliveries.leases import is_held, live_condition
from bootpress.core.deliveries.models import UNFINISHED, Attempt, Delivery
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.references import parse_repository

MOST_QUEUES: Final = 1000
"""Queues of one look; it begins anywhere among them, so that each has its turn."""
_FIRST: Final = UUID(int=0)
_LAST: Final = UUID(int=2**128 - 1)
_RANGES: Final = (
    "d.status = 'received'",
    "d.status = 'processing' AND d.next_attempt_at <= :now",
    # Written by a clock that was set back since.
    "d.status = 'processing' AND d.next_attempt_at > :farthest",
)
"""What is due, as ranges of the index; together they are `leases.is_due`."""
_HELD: Final = (
    "EXISTS (SELECT 1 FROM attempts AS a WHERE a.id = d.current_attempt_id AND a.status != 'ended'"
    " AND a.lease_until > :now AND a.lease_until <= :farthest)"
)


_RANGE: Final = (
    "SELECT * FROM (SELECT d.next_attempt_at FROM webhook_deliveries AS d WHERE d.queue_id = found.queue_id"
    " AND d.{unfinished} AND {range} AND NOT {held} ORDER BY d.next_attempt_at LIMIT {most}) AS range{number}"
)
_NEXT: Final = "FROM webhook_deliveries AS n WHERE n.{unfinished} AND n.queue_id <= :until AND n.queue_id >"
_QUEUES_SQL: Final = (
    "WITH RECURSIVE found(queue_id, number) AS ("
    " SELECT * FROM (SELECT n.queue_id, 1 {next} :after ORDER BY n.queue_id LIMIT 1) AS first"
    " UNION ALL SELECT (SELECT n.queue_id {next} found.queue_id ORDER BY n.queue_id LIMIT 1), found.number + 1"
    " FROM found WHERE found.queue_id IS NOT NULL AND found.number < :queues)"
    " SELECT found.queue_id, coalesce(p.account_id, w.account_id, found.queue_id) AS account_id,"
    " coalesce(p.oci_repository, '') AS repository,"
    " (SELECT count(*) FROM (SELECT next_attempt_at FROM ({due}) AS ranges LIMIT :most) AS due) AS due,"
    " (SELECT min(next_attempt_at) FROM ({first_due}) AS ranges) AS due_since"
    " FROM found LEFT JOIN node_platforms AS p ON p.id = found.queue_id"
    " LEFT JOIN webhooks AS w ON w.id = found.queue_id WHERE found.queue_id IS NOT NULL"
)


def _due(most: str) -> str:
    return " UNION ALL ".join(
        _RANGE.format(unfinished=UNFINISHED, range=one, held=_HELD, most=most, number=number)
        for number, one in enumerate(_RANGES)
    )


_QUEUES: Final = (
    text(_QUEUES_SQL.format(next=_NEXT.format(unfinished=UNFINISHED), due=_due(":most"), first_due=_due("1")))
    .bindparams(
        bindparam("after", type_=Uuid()),
        bindparam("until", type_=Uuid()),
        bindparam("now", type_=UtcDateTime()),
        bindparam("farthest", type_=UtcDateTime()),
    )
    .columns(queue_id=Uuid(), account_id=Uuid(), repository=String(), due=Integer(), due_since=UtcDateTime())
)


def find_queues(session: Session, now: datetime, *, most: int) -> list[Queue]:
    """Return the queues that hold due deliveries, each counted up to `most`; 1,000 queues at most are looked at."""
    start = uuid4()
    rows = _look(session, now, most, after=start, until=_LAST, queues=MOST_QUEUES)
    if len(rows) < MOST_QUEUES:
        rows += _look(session, now, most, after=_FIRST, until=start, queues=MOST_QUEUES - len(rows))
    return [
        Queue(row.queue_id, row.account_id, _host(row.repository), row.due, row.due_since) for row in rows if row.due
    ]


def _look(session: Session, now: datetime, most: int, *, after: UUID, until: UUID, queues: int) -> list[Any]:
    values = {"after": after, "until": until, "queues": queues, "most": most}
    return [*session.execute(_QUEUES, {**values, "now": now, "farthest": now + rules.MAX_LEASE_WITH_CLOCK_SKEW})]


def find_running(session: Session, now: datetime) -> list[Running]:
    """Return what is in flight, as far as leases say: a row for each queue that a run works on."""
    query = (
        select(Delivery.queue_id, Delivery.account_id, NodePlatform.oci_repository, Attempt.batch_id, func.count())
        .join(Attempt, Attempt.delivery_id == Delivery.id)
        .join(NodePlatform, NodePlatform.id == Delivery.queue_id, isouter=True)
        .where(live_condition(Attempt, now))
        .group_by(Delivery.queue_id, Delivery.account_id, NodePlatform.oci_repository, Attempt.batch_id)
    )
    return [
        Running(queue_id or account_id, account_id, _host(repository or ""), batch_id, count)
        for queue_id, account_id, repository, batch_id, count in session.execute(query)
    ]


def heads(session: Session, queue_id: UUID, now: datetime, *, most: int) -> Sequence[UUID]:
    """Return the due deliveries of a queue that wait for longest."""
    farthest = now + rules.MAX_LEASE_WITH_CLOCK_SKEW
    processing = Delivery.status == DeliveryStatus.PROCESSING
    ranges = [
        select(Delivery.id, Delivery.next_attempt_at)
        .where(Delivery.queue_id == queue_id, text(UNFINISHED), one, ~is_held(now))
        .order_by(Delivery.next_attempt_at, Delivery.id)
        .limit(most)
        .subquery()
        for one in (
            Delivery.status == DeliveryStatus.RECEIVED,
            processing & (Delivery.next_attempt_at <= now),
            processing & (Delivery.next_attempt_at > farthest),
        )
    ]
    due = union_all(*(select(one.c.id, one.c.next_attempt_at) for one in ranges)).subquery()
    return session.scalars(select(due.c.id).order_by(due.c.next_attempt_at, due.c.id).limit(most)).all()


def host_failing_since(session: Session, delivery: Delivery, now: datetime) -> datetime | None:
    """Return since when the registry host of a delivery's queue has failed; None where it answers or is not asked."""
    platform = session.get(NodePlatform, delivery.queue_id) if delivery.queue_id else None
    if platform is None:
        return None
    return breakers.failing_since(session, delivery.account_id, _host(platform.oci_repository), now)


def _host(repository: str) -> str:
    return parse_repository(repository).host if repository else ""
