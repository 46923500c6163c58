"""Deliveries onto the disk: those that arrive together share one transaction, and so one wait for the disk."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import String, Uuid, bindparam, select, text
from sqlalchemy.orm import Session

from bootpress.core.catalog import UtcDateTime
from bootpress.core.context import Context
from bootpress.core.errors import CatalogUnavailable
from bootpress.core.webhooks.announcement import Announcement
from bootpress.core.webhooks.models import Delivery
from bootpress.core.webhooks.states import DeliveryStatus

AT_ONCE = 64
TRIES = 5
# As text, because SQLAlchemy compiles an INSERT with ON CONFLICT anew each time. Both databases speak it.
_INSERT = (
    text(
        "INSERT INTO webhook_deliveries (id, account_id, webhook_id, source, actor, body, body_sha256, platform_slug,"
        " oci_ref, git_sha, status, attempt_count, unheard_launches, postponed_count, received_at, next_attempt_at)"
        " VALUES (:id, :account_id, :webhook_id, 'webhook', :actor, :body, :body_sha256, :platform_slug,"
        " :oci_ref, :git_sha, 'received', 0, 0, 0, :now, :now)"
        " ON CONFLICT (webhook_id, body_sha256) WHERE status = 'received' DO NOTHING RETURNING id"
    )
    .bindparams(
        bindparam("id", type_=Uuid()),
        bindparam("account_id", type_=Uuid()),
        bindparam("webhook_id", type_=Uuid()),
        bindparam("git_sha", type_=String()),
        bindparam("now", type_=UtcDateTime()),
    )
    .columns(id=Uuid())
)
_WAITING = select(Delivery.id).where(
    Delivery.webhook_id == bindparam("its_webhook"),
    Delivery.body_sha256 == bindparam("its_sha256"),
    Delivery.status == DeliveryStatus.RECEIVED,
)
_COUNTED = text(
    "UPDATE webhooks SET received_count = received_count + :count, last_received_at = :now WHERE id = :webhook_id"
).bindparams(bindparam("webhook_id", type_=Uuid()), bindparam("now", type_=UtcDateTime()))


@dataclass(frozen=True, slots=True)
class Arrival:
    """A POST that may come in: whose it is, its bytes and what they say."""

    webhook_id: UUID
    account_id: UUID
    label: str
    body: bytes
    announcement: Announcement


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a POST: a new delivery, or one whose processing has not begun."""

    delivery_id: UUID
    duplicate: bool


@dataclass(slots=True)
class _Waiting:
    arrival: Arrival
    receipt: Receipt | None = None
    error: Exception | None = None

    @property
    def is_settled(self) -> bool:
        return self.receipt is not None or self.error is not None


class Storing:
    """Stores arrivals; of the threads that come at once, one writes for all of them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue: list[_Waiting] = []
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def store(self, arrival: Arrival) -> Receipt:
        """Store an arrival; it is on disk when this returns. Raises CatalogUnavailable."""
        mine = _Waiting(arrival)
        with self._lock:
            self._queue.append(mine)
        with self._turn:
            while not mine.is_settled:  # else somebody wrote it while we waited
                with self._lock:
                    together, self._queue = self._queue[:AT_ONCE], self._queue[AT_ONCE:]
                self._write(together)
        if mine.receipt is None:
            raise mine.error or CatalogUnavailable("the delivery could not be stored", hint="send it again")
        return mine.receipt

    def _write(self, together: Sequence[_Waiting]) -> None:
        try:
            receipts = self._insert([waiting.arrival for waiting in together])
        except Exception as error:  # noqa: BLE001 - raised again by everybody's store
            if len(together) > 1 and not isinstance(error, CatalogUnavailable):
                for waiting in together:  # one that cannot be stored must not take the others with it
                    self._write([waiting])
                return
            for waiting in together:
                waiting.error = error
            return
        for waiting, receipt in zip(together, receipts, strict=True):
            waiting.receipt = receipt

    def _insert(self, arrivals: Sequence[Arrival]) -> list[Receipt]:
        now = self._context.clock.now()
        counts = Counter(arrival.webhook_id for arrival in arrivals)
        with self._context.catalog.writing() as session:
            receipts = [_insert_or_find(session, arrival, now) for arrival in arrivals]
            for webhook_id, count in sorted(counts.items()):  # in one order, for two processes lock these rows
                session.execute(_COUNTED, {"webhook_id": webhook_id, "count": count, "now": now})
        return receipts


def _insert_or_find(session: Session, arrival: Arrival, now: datetime) -> Receipt:
    said, body_sha256 = arrival.announcement, hashlib.sha256(arrival.body).hexdigest()
    values = {
        "id": uuid4(),
        "account_id": arrival.account_id,
        "webhook_id": arrival.webhook_id,
        "actor": f"webhook:{arrival.label}",
        "body": arrival.body,
        "body_sha256": body_sha256,
        "platform_slug": said.platform_slug,
        "oci_ref": said.oci_ref,
        "git_sha": said.git_sha,
        "now": now,
    }
    for _ in range(TRIES):
        delivery_id = session.scalar(_INSERT, values)
        if delivery_id is not None:
            return Receipt(delivery_id, duplicate=False)
        # Left `received` between our insert and our look: then ours is a new delivery, and we insert again.
        waiting = session.scalar(_WAITING, {"its_webhook": arrival.webhook_id, "its_sha256": body_sha256})
        if waiting is not None:
            return Receipt(waiting, duplicate=True)
    raise CatalogUnavailable("the delivery could not be stored", hint="send it again")
