"""Rules of deliveries and attempts: leases, retry delays, and when a delivery is given up. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.state_machine import StateMachine

LEASE = timedelta(seconds=30)
"""How long an attempt is believed to live without a sign of life."""
LONGEST_LEASE = timedelta(minutes=15)
GIVE_UP_AFTER = timedelta(hours=24)
FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=15)
MAX_LEASE_WITH_CLOCK_SKEW = timedelta(minutes=20)
"""No lease and no pause reaches further, clocks that differ a little included: what does was written before ours was
stepped back, and has run out."""
SERIES_GAP = timedelta(hours=1)
"""Between tries that lie further apart nobody tried: we were switched off, or nothing ran what was launched."""
TAKEOVER_WINDOW = timedelta(minutes=5)
"""How long after an attempt's death its successor takes over, where nothing else is wrong."""
DELIVERY = StateMachine(
    noun="delivery",
    moves={
        # Processing again after a dead attempt or a pause: it never returns to `received`.
        "begin": (frozenset({DeliveryStatus.RECEIVED, DeliveryStatus.PROCESSING}), DeliveryStatus.PROCESSING),
        "finish": (frozenset({DeliveryStatus.PROCESSING}), DeliveryStatus.DONE),
        "fail": (frozenset({DeliveryStatus.PROCESSING}), DeliveryStatus.FAILED),
        # Nothing took it for a day: its processing may never have begun.
        "give up": (frozenset({DeliveryStatus.RECEIVED, DeliveryStatus.PROCESSING}), DeliveryStatus.FAILED),
    },
)
UNFINISHED = (DeliveryStatus.RECEIVED, DeliveryStatus.PROCESSING)


def launch_lease(unheard: int) -> timedelta:
    """Return how long a launch may take to show a sign of life, after so many in a row that never showed one.

    It doubles with each: where the worker is away, runs would otherwise pile up twice a minute.
    """
    return min(LEASE * (1 << min(max(unheard, 0), 10)), LONGEST_LEASE)


def pause_before_retry(postponed: int) -> timedelta:
    """Return how long to wait after the nth try that met something away: 15 s, 30 s, … at most 15 minutes."""
    return min(FIRST_PAUSE * (1 << min(max(postponed - 1, 0), 10)), LONGEST_PAUSE)


def is_new_series(
    *, last_attempt_ended_at: datetime | None, now: datetime, failing_since: datetime | None = None
) -> bool:
    """Tell whether a try begins a new series: nobody tried in between, so that time does not count as trying.

    `failing_since` is when the delivery's registry host began to fail, if it is still asked: others tried it meanwhile.
    """
    if last_attempt_ended_at is None:
        return True
    if failing_since is not None and failing_since - SERIES_GAP <= last_attempt_ended_at <= now:
        return False
    return abs(now - last_attempt_ended_at) > SERIES_GAP


def is_expired(*, retry_window_started_at: datetime | None, now: datetime) -> bool:
    """Tell whether a delivery was tried long enough in one series for something that is away."""
    return retry_window_started_at is not None and now - retry_window_started_at >= GIVE_UP_AFTER


def is_crash_looping(
    *, retry_window_started_at: datetime | None, last_attempt_ended_at: datetime | None, now: datetime
) -> bool:
    """Tell whether tries went on for long enough and the last one died just now: another would die too.

    Where the last one died longer ago, we were away in between: then one more is tried before.
    """
    return (
        is_expired(retry_window_started_at=retry_window_started_at, now=now)
        and last_attempt_ended_at is not None
        and now - last_attempt_ended_at <= TAKEOVER_WINDOW
    )
