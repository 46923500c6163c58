"""States of CI workers and of their runners."""

from __future__ import annotations

from enum import StrEnum


class WorkerState(StrEnum):
    """Whether a CI worker is in use; whether its runner is online is for the forge to say."""

    ACTIVE = "active"
    REVOKED = "revoked"


class RunnerStatus(StrEnum):
    """How a worker is, in the words of the contract: pending until a runner registers."""

    ONLINE = "online"
    OFFLINE = "offline"
    PENDING = "pending"
    REVOKED = "revoked"
