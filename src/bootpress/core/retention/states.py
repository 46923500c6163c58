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
    """Somebody else needs it."""
    HELD = "held"
    """Somebody else may need it, which nobody can say now; the next sweep asks again."""
    LEFT = "left"
    """Somebody else who is to be purged may need it, and deletes it then."""


DONE = frozenset({StepStatus.DELETED, StepStatus.ABSENT, StepStatus.KEPT, StepStatus.LEFT})
"""Final: such a step is never repeated."""
