"""Circuit breakers of registry hosts, shared by every process through the catalog.

They are kept per account and host: an account chooses the address, the credential and the server behind a name, so what
it meets there must not pause anybody else. All spellings of a host share one.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, delete, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bootpress.core.breakers import rules
from bootpress.core.breakers.models import CircuitBreaker
from bootpress.core.breakers.rules import Breaker, Phase
from bootpress.core.context import Context
from bootpress.core.errors import RegistryPaused
from bootpress.core.pieces import delete_in_pieces
from bootpress.core.references import canonical_host

MAX_REASON: Final = 300
MAX_SHOWN: Final = 100
MAX_COUNTED: Final = 1000
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A registry host that fails, as an operator is told."""

    account_id: UUID
    host: str
    phase: Phase
    failures: int
    retry_at: datetime | None
    reason: str

    def __str__(self) -> str:
        """Say what is the matter, and until when."""
        said = f"the registry {self.host} did not answer {self.failures} times in a row"
        if self.phase is Phase.OPEN and self.retry_at is not None:
            return f"{said}; it is asked again at {self.retry_at:%H:%M:%S} UTC"
        return f"{said}; one delivery at a time asks it"


def find(session: Session, account_id: UUID, host: str) -> Breaker | None:
    """Return the breaker of an account's host; None while it is closed."""
    row = session.scalar(_row(account_id, host))
    return _breaker(row) if row is not None else None


def admit(context: Context, account_id: UUID, host: str, attempt_id: UUID) -> None:
    """Let an attempt ask a host whose breaker is not closed; RegistryPaused where it has to wait."""
    now = context.clock.now()
    with context.catalog.transaction() as session:
        row = session.scalar(_row(account_id, host).with_for_update())
        if row is None:
            return
        breaker = _breaker(row)
        if breaker.may_ask(attempt_id, now):
            if breaker.phase(now) is Phase.HALF_OPEN:
                _write(row, breaker.probed_by(attempt_id, now))
            return
        trouble = replace(_trouble(row, now), host=host)
    until = trouble.retry_at if trouble.phase is Phase.OPEN else None
    raise RegistryPaused(
        f"{trouble}; the last failure: {trouble.reason}",
        hint="bring the registry back, or wait",
        retry_after=(until - now).total_seconds() if until else rules.FIRST_PAUSE.total_seconds(),
    )


def note_failure(context: Context, account_id: UUID, host: str, reason: str) -> None:
    """Count one request that met a host which does not answer."""
    try:
        _note_failure(context, account_id, host, reason)
    except IntegrityError:  # somebody else noted the first one at the same moment
        _note_failure(context, account_id, host, reason)


def _note_failure(context: Context, account_id: UUID, host: str, reason: str) -> None:
    now = context.clock.now()
    with context.catalog.transaction() as session:
        row = session.scalar(_row(account_id, host).with_for_update())
        after = rules.failed(_breaker(row) if row is not None else None, now)
        if row is None:
            row = CircuitBreaker(id=uuid4(), account_id=account_id, host=canonical_host(host))
            row.failing_since = row.failed_at = now
            session.add(row)
        was_open = row.retry_at is not None and row.retry_at == after.retry_at
        _write(row, after)
        row.failing_since = rules.series_since(failing_since=row.failing_since, failed_at=row.failed_at, now=now)
        row.reason, row.failed_at = reason[:MAX_REASON], now
    if after.retry_at is not None and not was_open:
        logger.warning("registry %s of account %s: paused until %s: %s", host, account_id, after.retry_at, reason)


def note_answer(context: Context, account_id: UUID, host: str) -> None:
    """Close the breaker of a host that answered."""
    with context.catalog.transaction() as session:
        session.execute(delete(CircuitBreaker).where(*_key(account_id, host)))


def places(session: Session, sites: Iterable[tuple[UUID, str]], now: datetime) -> dict[tuple[UUID, str], int]:
    """Return how many deliveries may be in flight, by account and canonical host, where a breaker is not closed."""
    asked = [*sites]
    found: dict[tuple[UUID, str], int] = {}
    for start in range(0, len(asked), MAX_SHOWN):
        known = tuple_(CircuitBreaker.account_id, CircuitBreaker.host).in_(asked[start : start + MAX_SHOWN])
        for row in session.scalars(select(CircuitBreaker).where(known)):
            found[row.account_id, row.host] = _breaker(row).places(now)
    return found


def failing_since(session: Session, account_id: UUID, host: str, now: datetime) -> datetime | None:
    """Return since when a host has failed without a break in asking it; None where it answers or nobody asks it."""
    row = session.scalar(_row(account_id, host))
    return row.failing_since if row is not None and rules.is_asked(row.failed_at, now) else None


def failing_for(session: Session, period: timedelta, now: datetime) -> dict[tuple[UUID, str], str]:
    """Return the last failure of each account and canonical host that has failed for so long and is still asked.

    At most the latest 1,000.
    """
    query = select(CircuitBreaker).where(CircuitBreaker.failing_since <= now - period)
    rows = session.scalars(query.order_by(CircuitBreaker.failed_at.desc()).limit(MAX_COUNTED))
    return {(row.account_id, row.host): row.reason for row in rows if rules.is_asked(row.failed_at, now)}


def troubles(session: Session, now: datetime, account_id: UUID | None = None) -> list[Trouble]:
    """Return the hosts that fail, of one account or of all: the latest first, at most 100."""
    query = select(CircuitBreaker).order_by(CircuitBreaker.failed_at.desc()).limit(MAX_SHOWN)
    if account_id is not None:
        query = query.where(CircuitBreaker.account_id == account_id)
    return [_trouble(row, now) for row in session.scalars(query)]


def count(context: Context) -> Counter[Phase]:
    """Return how many breakers of each phase there are, of the latest 1,000."""
    now = context.clock.now()
    with context.catalog.read_session() as session:
        query = select(CircuitBreaker).order_by(CircuitBreaker.failed_at.desc()).limit(MAX_COUNTED)
        return Counter(_breaker(row).phase(now) for row in session.scalars(query))


def forget_old(context: Context) -> int:
    """Delete breakers of hosts that nobody has asked for a day; return how many."""
    before = context.clock.now() - rules.FORGET_AFTER
    return delete_in_pieces(context.catalog, CircuitBreaker, CircuitBreaker.failed_at < before)


def _row(account_id: UUID, host: str) -> Select[tuple[CircuitBreaker]]:
    return select(CircuitBreaker).where(*_key(account_id, host))


def _key(account_id: UUID, host: str) -> tuple[ColumnElement[bool], ...]:
    return CircuitBreaker.account_id == account_id, CircuitBreaker.host == canonical_host(host)


def _breaker(row: CircuitBreaker) -> Breaker:
    return Breaker(row.failures, row.openings, row.retry_at, row.probe_attempt_id, row.probe_until)


def _write(row: CircuitBreaker, breaker: Breaker) -> None:
    row.failures, row.openings, row.retry_at = breaker.failures, breaker.openings, breaker.retry_at
    row.probe_attempt_id, row.probe_until = breaker.probe_attempt_id, breaker.probe_until


def _trouble(row: CircuitBreaker, now: datetime) -> Trouble:
    phase = _breaker(row).phase(now)
    return Trouble(row.account_id, row.host, phase, row.failures, row.retry_at, row.reason)
