"""What a deletion may have come to."""

from __future__ import annotations

from enum import StrEnum


class StepStatus(StrEnum):
    """What became of one deletion."""

    PENDING = "pending"
    DELETED = "deleted"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    KEPT = "kept"
