"""What CI workers and procedures may be."""

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


class ProcedureKind(StrEnum):
    """What a flow is to carry out step by step."""

    BOOTSTRAP = "bootstrap"
    PROVISION_WORKER = "provision-worker"
    TERMINATE_WORKER = "terminate-worker"


class ProcedureStatus(StrEnum):
    """How far a procedure has come."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
