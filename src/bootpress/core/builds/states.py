"""What builds may be."""

from __future__ import annotations

from enum import StrEnum


class BuildStatus(StrEnum):
    """How far a build has come (docs/reference/contract.md#build-states)."""

    DISPATCHED = "dispatched"
    RUNNING = "running"
    CALLBACK_RECEIVED = "callback_received"
    PUBLISHED = "published"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    LOST_CALLBACK_RECOVERED = "lost_callback_recovered"
    CANCELLED = "cancelled"
