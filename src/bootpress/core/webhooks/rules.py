"""Rules of webhooks: states, labels and previews of secrets. Pure."""

from __future__ import annotations

from bootpress.core.state_machine import StateMachine
from bootpress.core.webhooks.states import WebhookStatus

WEBHOOK = StateMachine(
    noun="webhook",
    moves={
        "disable": (frozenset({WebhookStatus.ACTIVE, WebhookStatus.DISABLED}), WebhookStatus.DISABLED),
        "enable": (frozenset({WebhookStatus.ACTIVE, WebhookStatus.DISABLED}), WebhookStatus.ACTIVE),
        "revoke": (frozenset(WebhookStatus), WebhookStatus.REVOKED),
    },
)


def label_key(label: str) -> str:
    """Return what labels are compared by: trimmed, case-folded."""
    return label.strip().casefold()


def secret_preview(secret: str) -> str:
    """Return enough of a secret to tell two apart, and too little to use."""
    return f"{secret[:4]}…"
