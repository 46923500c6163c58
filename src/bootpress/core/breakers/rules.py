"""The circuit breaker as a pure state machine: closed, probing, open, half-open, and closed again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from bootpress.core.deliveries.rules import SERIES_GAP

THRESHOLD: Final = 3
"""Failures in a row that open it."""
FIRST_PAUSE: Final = timedelta(seconds=15)
LONGEST_PAUSE: Final = timedelta(minutes=5)
PROBE: Final = timedelta(minutes=3)
"""How long one attempt may probe; a probe that died holds up the next one for no longer."""
FORGET_AFTER: Final = timedelta(days=1)


class Phase(StrEnum):
    """What a host that failed gets."""

    PROBING = "probing"
    """One place: it failed, and not often enough to open."""
    OPEN = "open"
    """No place until the pause is over."""
    HALF_OPEN = "half-open"
    """One attempt, which closes it or opens it for longer."""


@dataclass(frozen=True, slots=True)
class Breaker:
    """A host that failed at least once since it last answered; a closed breaker is None."""

    failures: int
    openings: int = 0
    retry_at: datetime | None = None
    probe_attempt_id: UUID | None = None
    probe_until: datetime | None = None

    def phase(self, now: datetime) -> Phase:
        """Return what it is now; a pause further off than any was written by a clock that was set back since."""
        if self.retry_at is None:
            return Phase.PROBING
        return Phase.OPEN if now < self.retry_at <= now + LONGEST_PAUSE else Phase.HALF_OPEN

    def places(self, now: datetime) -> int:
        """Return how many deliveries may be in flight to the host."""
        return 0 if self.phase(now) is Phase.OPEN else 1

    def may_ask(self, attempt_id: UUID, now: datetime) -> bool:
        """Tell whether an attempt may ask the host now; half-open, the first that asks is the probe."""
        if self.phase(now) is not Phase.HALF_OPEN:
            return self.phase(now) is Phase.PROBING
        is_probed = self.probe_until is not None and now < self.probe_until <= now + PROBE
        return not is_probed or self.probe_attempt_id == attempt_id

    def probed_by(self, attempt_id: UUID, now: datetime) -> Breaker:
        """Return it with an attempt as its only probe."""
        return replace(self, probe_attempt_id=attempt_id, probe_until=now + PROBE)


def failed(breaker: Breaker | None, now: datetime) -> Breaker:
    """Return what a failure makes of a breaker; None is a closed one.

    While it is open, failures of requests that began before count for nothing.
    """
    known = breaker or Breaker(failures=0)
    if known.phase(now) is Phase.OPEN:
        return known
    failures = known.failures + 1
    if failures < THRESHOLD:
        return replace(known, failures=failures)
    return Breaker(failures, known.openings + 1, now + pause(known.openings + 1))


def is_asked(failed_at: datetime, now: datetime) -> bool:
    """Tell whether a host that failed is still asked: a failure longer ago says nothing about the time since."""
    return abs(now - failed_at) <= SERIES_GAP


def series_since(*, failing_since: datetime, failed_at: datetime, now: datetime) -> datetime:
    """Return when the series began that a failure now belongs to: time in which nobody asked begins a new one."""
    return min(failing_since, now) if is_asked(failed_at, now) else now


def pause(openings: int) -> timedelta:
    """Return how long the nth pause in a row lasts: 15 s, 30 s, … at most five minutes."""
    return min(FIRST_PAUSE * (1 << min(max(openings - 1, 0), 10)), LONGEST_PAUSE)
