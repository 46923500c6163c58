"""What a deletion may have come to."""

from __future__ import annotations

from enum import StrEnum


class StepStatus(StrEnum):
    """What became of one deletion."""

    PENDING = "pending"
    DELETING = "deleting"
    """Asked for; until the answer is written nobody knows."""
    DELETED = "deleted"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    DENIED = "denied"
    REFUSED = "refused"
    KEPT = "kept"


DONE = frozenset({StepStatus.DELETED, StepStatus.ABSENT, StepStatus.KEPT})
"""Final: such a step is never repeated."""
