"""States of webhooks."""

from __future__ import annotations

from enum import StrEnum


class WebhookStatus(StrEnum):
    """Whether a webhook accepts deliveries."""

    ACTIVE = "active"
    DISABLED = "disabled"
    REVOKED = "revoked"
