"""Pure rules of webhooks, deliveries and attempts."""

from __future__ import annotations

from datetime import datetime, timedelta

from bootpress.core.transitions import StateMachine
from bootpress.core.webhooks.states import DeliveryStatus, WebhookStatus

LEASE = timedelta(seconds=30)
"""How long an attempt is believed to live without a sign of life."""
LONGEST_LEASE = timedelta(minutes=15)
GIVE_UP_AFTER = timedelta(hours=24)
FIRST_PAUSE = timedelta(seconds=15)
LONGEST_PAUSE = timedelta(minutes=15)

WEBHOOK = StateMachine(
    noun="webhook",
    moves={
        "disable": (frozenset({WebhookStatus.ACTIVE, WebhookStatus.DISABLED}), WebhookStatus.DISABLED),
        "enable": (frozenset({WebhookStatus.ACTIVE, WebhookStatus.DISABLED}), WebhookStatus.ACTIVE),
        "revoke": (frozenset(WebhookStatus), WebhookStatus.REVOKED),
    },
)

DELIVERY = StateMachine(
    noun="delivery",
    moves={
        # Processing again after a dead attempt or a pause: it never returns to `received`.
        "begin": (frozenset({DeliveryStatus.RECEIVED, DeliveryStatus.PROCESSING}), DeliveryStatus.PROCESSING),
        "finish": (frozenset({DeliveryStatus.PROCESSING}), DeliveryStatus.DONE),
        "fail": (frozenset({DeliveryStatus.PROCESSING}), DeliveryStatus.FAILED),
    },
)

UNFINISHED = (DeliveryStatus.RECEIVED, DeliveryStatus.PROCESSING)


def label_key(label: str) -> str:
    """Return what labels are compared by: trimmed, case-folded."""
    return label.strip().casefold()


def secret_preview(secret: str) -> str:
    """Return enough of a secret to tell two apart, and too little to use."""
    return f"{secret[:4]}…"


def launch_lease(attempt_count: int) -> timedelta:
    """Return how long a launch may take to show a sign of life.

    It doubles with each attempt: where the worker is away, runs would otherwise pile up twice a minute.
    """
    return min(LEASE * (1 << min(attempt_count, 10)), LONGEST_LEASE)


def pause_before_retry(attempt_count: int) -> timedelta:
    """Return how long to wait after the nth attempt met something unavailable: 15 s, 30 s, … at most 15 minutes."""
    return min(FIRST_PAUSE * (1 << min(max(attempt_count - 1, 0), 10)), LONGEST_PAUSE)


def gives_up(*, received_at: datetime, now: datetime) -> bool:
    """Tell whether a delivery has waited long enough for something that is away."""
    return now - received_at >= GIVE_UP_AFTER
