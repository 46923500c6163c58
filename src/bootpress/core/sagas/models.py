"""Table of sagas."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Row


class Saga(Row):
    """One call that a flow carries out step by step, each step's effect recorded before the next."""

    __tablename__ = "sagas"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), index=True)
    kind: Mapped[str]
    actor: Mapped[str]
    request: Mapped[dict[str, Any]]
    """The fields of the call; none is a secret."""
    resource_keys: Mapped[list[str]]
    """What no other unfinished saga of the account may work on, in words: `the label edge`."""
    status: Mapped[str]
    lease_expires_at: Mapped[datetime]
    """Until when it is believed to live without a sign of life."""
    step_results: Mapped[dict[str, Any]]
    """What each step has done, by step; no secret."""
    ci_worker_id: Mapped[UUID | None] = mapped_column(ForeignKey("ci_workers.id"))
    flow_run_id: Mapped[UUID | None]
    """The flow run that carries it out; no other may record what it does."""
    encrypted_result: Mapped[bytes | None] = mapped_column(LargeBinary)
    """What the caller is told, sealed; deleted when it is read or its time is over."""
    result_expires_at: Mapped[datetime | None]
    error: Mapped[dict[str, Any] | None]
    """Class, message, hint and field of what it failed with."""
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
