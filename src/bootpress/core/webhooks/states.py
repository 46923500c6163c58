"""What webhooks, deliveries and attempts may be."""

from __future__ import annotations

from enum import StrEnum


class WebhookStatus(StrEnum):
    """Whether a webhook accepts deliveries."""

    ACTIVE = "active"
    DISABLED = "disabled"
    REVOKED = "revoked"


class DeliveryStatus(StrEnum):
    """How far a delivery has come."""

    RECEIVED = "received"
    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


class AttemptStatus(StrEnum):
    """How far an attempt has come: asked for, at work, over."""

    LAUNCHING = "launching"
    RUNNING = "running"
    ENDED = "ended"
