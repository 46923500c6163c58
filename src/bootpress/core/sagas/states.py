"""Kinds and states of sagas."""

from __future__ import annotations

from enum import StrEnum


class SagaKind(StrEnum):
    """What a flow is to carry out step by step."""

    BOOTSTRAP = "bootstrap"
    PROVISION_WORKER = "provision-worker"
    TERMINATE_WORKER = "terminate-worker"


class SagaStatus(StrEnum):
    """How far a saga has come."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
