"""States of deliveries and attempts."""

from __future__ import annotations

from enum import StrEnum


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
