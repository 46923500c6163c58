"""Tables of accounts: accounts, API tokens, answers kept for idempotent repeats."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from bootpress.core.database import Row


class Account(Row):
    """Whom rows belong to."""

    __tablename__ = "accounts"

    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class ApiToken(Row):
    """A bearer token, of which only the SHA-256 is kept: it is 256 random bits, so a slow hash would add nothing."""

    __tablename__ = "api_tokens"

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), index=True)
    name: Mapped[str]
    token_sha256: Mapped[str] = mapped_column(unique=True)
    permissions: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    ancestors: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    """Ids of the tokens that it descends from, its parent last: it holds no longer than any of them."""
    ci_worker_id: Mapped[UUID | None] = mapped_column(index=True)
    """The CI worker whose read token it is; without a foreign key, since the worker names its token too."""


class IdempotencyRecord(Row):
    """The answer to a mutation with an Idempotency-Key, its secrets removed; none yet while the first call runs."""

    __tablename__ = "stored_answers"
    __table_args__ = (UniqueConstraint("account_id", "operation", "key"),)

    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    operation: Mapped[str]
    key: Mapped[str]
    request_hmac: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
