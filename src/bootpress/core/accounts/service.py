"""Accounts and their API tokens."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import select

from bootpress.core.accounts import lineage, read_tokens
from bootpress.core.accounts.models import Account, ApiToken
from bootpress.core.context import Caller, Context
from bootpress.core.errors import InvalidInput, NotFound, Unauthenticated
from bootpress.core.pagination import page

TOKEN_PREFIX = "bp_"  # noqa: S105 - marks our tokens for secret scanners
MAX_TOKEN = 500


class MintedToken(NamedTuple):
    """A new token's id, its text, which is not kept, and when it ends."""

    id: UUID
    text: str
    expires_at: datetime | None


def create_account(context: Context, name: str) -> UUID:
    """Return the id of the account of that name, made if there is none."""
    with context.catalog.transaction() as session:
        account = session.scalar(select(Account).where(Account.name == name))
        if account is None:
            account = Account(id=uuid4(), name=name, created_at=context.clock.now())
            session.add(account)
        return account.id


def create_token(
    context: Context,
    *,
    account_id: UUID,
    name: str,
    permissions: Sequence[str],
    expires_at: datetime | None = None,
    parent_id: UUID | None = None,
) -> tuple[UUID, str]:
    """Make a token; return its id and its text, which is not kept. Without a parent it ends by itself alone."""
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
    with context.catalog.transaction() as session:
        token.ancestors = lineage.descend(session, parent_id)
        session.add(token)
    return token.id, text


def create_token_for(
    context: Context, caller: Caller, *, name: str, permissions: Sequence[str], expires_at: datetime | None
) -> MintedToken:
    """Make a token on a caller's behalf, which may do no more than his and ends with his, if not before.

    Raises Forbidden for permissions that he lacks, InvalidInput for a later end than his.
    """
    lineage.refuse_lacking(caller, permissions)
    until = lineage.bounded_expiry(caller, expires_at)
    token_id, text = create_token(
        context,
        account_id=caller.account_id,
        name=name,
        permissions=permissions,
        expires_at=until,
        parent_id=caller.token_id,
    )
    return MintedToken(token_id, text, until)


def authenticate(context: Context, text: str) -> Caller:
    """Return who a token belongs to; Unauthenticated for an unknown, revoked or expired one, without telling which."""
    refusal = Unauthenticated("no or bad token", hint="send Authorization: Bearer <token>")
    if not text or len(text) > MAX_TOKEN:
        raise refusal
    with context.catalog.read_session() as session:
        token = session.scalar(select(ApiToken).where(ApiToken.token_sha256 == _hash(text)))
        is_cut_off = token is not None and lineage.is_cut_off(session, token, context.clock.now())
    if token is None or token.revoked_at is not None or is_cut_off:
        raise refusal
    if token.ci_worker_id is not None and not read_tokens.is_genuine(context.secrets, text, token.id):
        raise refusal
    if token.expires_at is not None and token.expires_at <= context.clock.now():
        raise refusal
    return Caller(
        account_id=token.account_id,
        token_id=token.id,
        name=token.name,
        permissions=frozenset(token.permissions),
        expires_at=token.expires_at,
    )


def list_tokens(
    context: Context, *, account_id: UUID, limit: int, cursor: str | None
) -> tuple[list[tuple[ApiToken, datetime | None]], str | None]:
    """Return a page of an account's tokens, oldest first, each with when it was revoked; and the next cursor.

    A token is revoked with any that it descends from.
    """
    query = select(ApiToken).where(ApiToken.account_id == account_id)
    with context.catalog.read_session() as session:
        by = (ApiToken.created_at, ApiToken.id)
        tokens, next_cursor = page(session, query, by=by, limit=limit, cursor=cursor, newest_first=False)
        ended = lineage.ends(session, tokens)
    return [(token, ended.get(token.id)) for token in tokens], next_cursor


def revoke_token(context: Context, *, account_id: UUID, token_id: UUID, by: Caller | None = None) -> ApiToken:
    """Revoke a token for good, and with it whatever descends from it; a repeat changes nothing.

    Raises Forbidden where `by`, if somebody asks for it, could not have minted it.
    """
    with context.catalog.transaction() as session:
        token = session.get(ApiToken, token_id)
        if token is None or token.account_id != account_id:
            raise NotFound(f"no API token {token_id}", hint="see list_api_tokens")
        if by is not None:
            lineage.refuse_beyond(by, token)
        token.revoked_at = token.revoked_at or context.clock.now()
        return token


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
