"""Accounts and their API tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import select

from bootpress.core.accounts import read_tokens
from bootpress.core.accounts.models import Account, ApiToken
from bootpress.core.context import Caller, Context
from bootpress.core.errors import Forbidden, InvalidInput, NotFound, Unauthenticated

TOKEN_PREFIX = "bp_"  # noqa: S105 - marks our tokens for secret scanners
MAX_TOKEN = 500


def create_account(context: Context, name: str) -> UUID:
    """Return the id of the account of that name, made if there is none."""
    with context.catalog.writing() as session:
        account = session.scalar(select(Account).where(Account.name == name))
        if account is None:
            account = Account(id=uuid4(), name=name, created_at=context.clock.now())
            session.add(account)
        return account.id


def mint_token(
    context: Context, *, account_id: UUID, name: str, permissions: Sequence[str], expires_at: datetime | None = None
) -> tuple[UUID, str]:
    """Make a token; return its id and its text, which is not kept."""
    now = context.clock.now()
    if expires_at is not None and expires_at <= now:
        raise InvalidInput("expires_at lies in the past", field="expires_at")
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        id=uuid4(),
        account_id=account_id,
        name=name,
        token_sha256=_hash(text),
        permissions=sorted(set(permissions)),
        created_at=now,
        expires_at=expires_at,
        revoked_at=None,
    )
    with context.catalog.writing() as session:
        session.add(token)
    return token.id, text


def mint_for(
    context: Context, caller: Caller, *, name: str, permissions: Sequence[str], expires_at: datetime | None
) -> tuple[UUID, str]:
    """Make a token on a caller's behalf; nobody gives away what he does not have."""
    beyond = sorted(permission for permission in set(permissions) if not caller.may(permission))
    if beyond:
        raise Forbidden(
            f"your token lacks {', '.join(beyond)} and cannot give it away", hint="ask for permissions that you have"
        )
    return mint_token(context, account_id=caller.account_id, name=name, permissions=permissions, expires_at=expires_at)


def authenticate(context: Context, text: str) -> Caller:
    """Return who a token belongs to; Unauthenticated for an unknown, revoked or expired one, without telling which."""
    refusal = Unauthenticated("no or bad token", hint="send Authorization: Bearer <token>")
    if not text or len(text) > MAX_TOKEN:
        raise refusal
    with context.catalog.reading() as session:
        token = session.scalar(select(ApiToken).where(ApiToken.token_sha256 == _hash(text)))
    if token is None or token.revoked_at is not None:
        raise refusal
    if token.ci_worker_id is not None and not read_tokens.is_genuine(context.secrets, text, token.id):
        raise refusal
    if token.expires_at is not None and token.expires_at <= context.clock.now():
        raise refusal
    return Caller(
        account_id=token.account_id, token_id=token.id, name=token.name, permissions=frozenset(token.permissions)
    )


def list_tokens(context: Context, account_id: UUID) -> list[ApiToken]:
    """List an account's tokens, oldest first."""
    with context.catalog.reading() as session:
        query = select(ApiToken).where(ApiToken.account_id == account_id).order_by(ApiToken.created_at, ApiToken.id)
        return list(session.scalars(query))


def revoke_token(context: Context, *, account_id: UUID, token_id: UUID) -> ApiToken:
    """Revoke a token for good; a repeat changes nothing."""
    with context.catalog.writing() as session:
        token = session.get(ApiToken, token_id)
        if token is None or token.account_id != account_id:
            raise NotFound(f"no API token {token_id}", hint="see list_api_tokens")
        token.revoked_at = token.revoked_at or context.clock.now()
        return token


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
