"""Prune deliveries with their attempts, and events: in pieces, so that a run that dies has done what it did.

What stays whatever its age: a delivery that is not finished, one whose attempt proves a publication, one that a build
waits for or has not reported, and an event that listeners have not been handed. What was published once stays too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import Session

from bootpress.core.accounts.models import Account
from bootpress.core.builds import rules as build_rules
from bootpress.core.builds.models import Build
from bootpress.core.context import Context
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.events.models import Event, OutboxEntry
from bootpress.core.events.service import Kind
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.pruning import failures
from bootpress.core.pruning.models import PruningClock
from bootpress.core.pruning.rules import EVERY, PIECE, PIECES, YOUNGEST, Seen, is_due
from bootpress.core.pruning.series import Position, Series
from bootpress.core.publications.models import Publication
from bootpress.core.publications.states import PublicationStatus
from bootpress.core.retention.rules import GRACE
from bootpress.core.webhooks.models import Webhook

LISTED = 500
"""Accounts or webhooks that are read at once."""
SHORTEST_PAUSE = 0.02
"""Seconds between two transactions; on SQLite, whoever waits for its turn asks ten times a second."""
ONLY_ROW = 1


@dataclass(slots=True)
class PruneReport:
    """What one run deleted, and whether it left something for the next."""

    deliveries: int = 0
    attempts: int = 0
    events: int = 0
    publications: int = 0
    """That failed and never were published."""
    pieces: int = 0

    @property
    def is_cut_short(self) -> bool:
        """Tell whether the run did as much as one may."""
        return self.pieces >= PIECES


def prune_if_due(context: Context) -> PruneReport | None:
    """Prune where the last run is an hour ago or left something; None where it is not. Raises as `prune`."""
    now = context.clock.now()
    with context.catalog.read_session() as session:
        row = session.get(PruningClock, ONLY_ROW)
    return prune(context) if row is None or is_due(row.due_at, now) else None


def prune(context: Context, *, pause: Callable[[float], object] = time.sleep) -> PruneReport:
    """Delete what is beyond the ages and numbers of the context's limits; return what was deleted.

    Raises CatalogUnavailable; what was deleted before stays deleted, and a repeat goes on.
    """
    run = _Run(context, pause)
    now = _believed(context)
    limits = context.limits
    for account_id in _ids(context, Account):
        for one in _deliveries(context, account_id, now):
            run.prune(one, _forget_deliveries, now - timedelta(days=limits.delivery_days), limits.deliveries_kept)
        for kind in Kind:
            one = _events(account_id, kind)
            run.prune(one, _forget_events, now - timedelta(days=limits.event_days), limits.events_kept)
        for platform_id in _ids(context, NodePlatform, NodePlatform.account_id == account_id):
            run.prune_failures(platform_id)
    with context.catalog.transaction() as session:
        due_at = context.clock.now() + (timedelta() if run.report.is_cut_short else EVERY)
        session.get_one(PruningClock, ONLY_ROW, with_for_update=True).due_at = due_at
    return run.report


Forget = Callable[[Session, Series, Sequence[Position], PruneReport], Position | None]
"""Delete rows at these positions in the running transaction, a piece at most; return the last position that is done."""


class _Run:
    """One run: its transactions are counted, and leave room for others between them."""

    def __init__(self, context: Context, pause: Callable[[float], object]) -> None:
        self._context = context
        self._pause = pause
        self.report = PruneReport()

    def prune(self, series: Series, forget: Forget, older_than: datetime, keep: int) -> None:
        """Prune one series, from its oldest row on."""
        spared_from = self._context.clock.now() - YOUNGEST
        with self._context.catalog.read_session() as session:
            until = series.end(session, keep=keep, older_than=older_than, spared_from=spared_from)
        after: Position | None = None
        while until is not None and not self.report.is_cut_short:
            with self._context.catalog.read_session() as session:
                found = series.oldest(session, until=until, after=after)
            if not found:
                return
            with self._piece() as session:
                done = forget(session, series, found, self.report)
            after = done or after

    def prune_failures(self, platform_id: UUID) -> None:
        """Forget the failed publications of a platform that nothing names any more."""
        while not self.report.is_cut_short:
            with self._context.catalog.read_session() as session:
                found = failures.find(session, platform_id)
            if not found:
                return
            with self._piece() as session:
                publications, artifacts = failures.forget(session, found)
            self.report.publications += publications
            if not publications + artifacts:  # others have them locked
                return

    @contextmanager
    def _piece(self) -> Iterator[Session]:
        began = time.monotonic()
        with self._context.catalog.transaction() as session:
            yield session
        self.report.pieces += 1
        self._pause(max(SHORTEST_PAUSE, time.monotonic() - began))


def _forget_deliveries(
    session: Session, series: Series, found: Sequence[Position], report: PruneReport
) -> Position | None:
    held = _lock(session, series, found)
    attempts = session.scalars(select(Attempt.id).where(Attempt.delivery_id.in_(held)).limit(PIECE)).all()
    session.execute(delete(Attempt).where(Attempt.id.in_(attempts)))
    report.attempts += len(attempts)
    # Those that may still have attempts wait for the next piece.
    room = PIECE - len(attempts)
    gone = held[:room]
    session.execute(delete(Delivery).where(Delivery.id.in_(gone)))
    report.deliveries += len(gone)
    if len(gone) == len(held):
        return found[-1]
    return next((position for position in reversed(found) if gone and position[1] == gone[-1]), None)


def _forget_events(session: Session, series: Series, found: Sequence[Position], report: PruneReport) -> Position | None:
    held = _lock(session, series, found)
    session.execute(delete(Event).where(Event.sequence.in_(held)))
    report.events += len(held)
    return found[-1]


def _lock(session: Session, series: Series, found: Sequence[Position]) -> list[UUID]:
    """Lock what is still there and still not needed, in the order it was found; what others have locked is left."""
    keys = [key for _, key in found]
    query = select(series.key).where(series.key.in_(keys), ~series.needed)
    locked = set(session.scalars(query.order_by(series.key).with_for_update(skip_locked=True)))
    return [key for key in keys if key in locked]


def _deliveries(context: Context, account_id: UUID, now: datetime) -> Iterator[Series]:
    """Return the deliveries of each webhook of an account, and those that no webhook sent."""
    yield _deliveries_of(account_id, Delivery.webhook_id.is_(None), now)
    for webhook_id in _ids(context, Webhook, Webhook.account_id == account_id):
        yield _deliveries_of(account_id, Delivery.webhook_id == webhook_id, now)


def _deliveries_of(account_id: UUID, webhook: ColumnElement[bool], now: datetime) -> Series:
    # What failed keeps its images from a purge for as long as its last attempt says that it did a short time ago.
    may_be_retried = (Publication.status == PublicationStatus.FAILED) & (Attempt.ended_at > now - GRACE)
    is_proven = Publication.status.not_in((PublicationStatus.FAILED, PublicationStatus.PURGED))
    proves = (
        select(Attempt.id)
        .join(Publication, Publication.id == Attempt.publication_id)
        .where(
            Attempt.delivery_id == Delivery.id,
            Attempt.id.in_((Publication.current_attempt_id, Publication.proving_attempt_id)),
            is_proven | may_be_retried,
        )
    )
    is_reported = Build.status.not_in(build_rules.UNFINISHED) & Build.reported_at.is_not(None)
    its_build = select(Build.id).where(Build.id == Delivery.build_id, ~is_reported)
    # A build that no callback was found for yet looks among those that came since it began.
    may_be_its_callback = select(Build.id).where(
        Build.status.in_(build_rules.OPEN),
        Build.account_id == Delivery.account_id,
        Build.delivery_id.is_(None),
        Build.created_at <= Delivery.received_at,
    )
    is_finished = Delivery.status.in_((DeliveryStatus.DONE, DeliveryStatus.FAILED))
    return Series(
        Delivery.finished_at,
        Delivery.id,
        (Delivery.account_id == account_id, webhook),
        ~is_finished | proves.exists() | its_build.exists() | may_be_its_callback.exists(),
    )


def _events(account_id: UUID, kind: Kind) -> Series:
    is_waiting = select(OutboxEntry.event_id).where(OutboxEntry.event_id == Event.id).exists()
    return Series(Event.occurred_at, Event.sequence, (Event.account_id == account_id, Event.kind == kind), is_waiting)


def _ids(
    context: Context, table: type[Account | NodePlatform | Webhook], *conditions: ColumnElement[bool]
) -> Iterator[UUID]:
    """Return the ids of a table's rows, a page at a time."""
    last: UUID | None = None
    while True:
        query = select(table.id).where(*conditions).order_by(table.id).limit(LISTED)
        with context.catalog.read_session() as session:
            found = session.scalars(query.where(table.id > last) if last else query).all()
        yield from found
        if len(found) < LISTED:
            return
        last = found[-1]


def _believed(context: Context) -> datetime:
    """Return the time that ages are counted by, and note that pruning has looked at the clock."""
    now = context.clock.now()
    with context.catalog.transaction() as session:
        row = session.get(PruningClock, ONLY_ROW, with_for_update=True)
        if row is None:
            row = PruningClock(id=ONLY_ROW, before=now, last=now, due_at=now)
            session.add(row)
        seen = Seen(row.before, row.last).at(now)
        row.before, row.last = seen.before, seen.last
    return seen.believed(now)
