"""Lineage of tokens: a token may do no more than the one that it was minted with, its parent, and lives no longer.

As in Vault, a token ends with its parent. Nothing is written to its descendants then: whoever authenticates one looks
at all that it descends from, of which there is a bounded number.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bootpress.core.accounts.models import ApiToken
from bootpress.core.context import Caller
from bootpress.core.errors import Forbidden, InvalidInput

MAX_GENERATIONS: Final = 8
"""How many tokens one may descend from."""


def descend(session: Session, parent_id: UUID | None) -> list[str]:
    """Return the ancestors of a token that is minted with this one; none where no token asks for it.

    Raises Forbidden where there are too many.
    """
    parent = session.get(ApiToken, parent_id) if parent_id is not None else None
    if parent is None:
        return []
    if len(parent.ancestors) >= MAX_GENERATIONS:
        raise Forbidden(
            f"your token {parent.id} descends from {MAX_GENERATIONS} others, and no token descends from more",
            hint="mint with one of those that it descends from; list_api_tokens shows each one's parent_id",
        )
    return [*parent.ancestors, str(parent.id)]


def is_cut_off(session: Session, token: ApiToken, now: datetime) -> bool:
    """Tell whether a token has ended with one that it descends from."""
    ids = _ids(token)
    if not ids:
        return False
    lives = ApiToken.revoked_at.is_(None) & (ApiToken.expires_at.is_(None) | (ApiToken.expires_at > now))
    return session.scalar(select(func.count()).where(ApiToken.id.in_(ids), lives)) != len(ids)


def ends(session: Session, tokens: Sequence[ApiToken]) -> dict[UUID, datetime]:
    """Return when each of these was revoked, itself or first of all with one that it descends from."""
    ids = {one for token in tokens for one in [token.id, *_ids(token)]}
    query = select(ApiToken.id, ApiToken.revoked_at).where(ApiToken.id.in_(ids), ApiToken.revoked_at.is_not(None))
    revoked = {token_id: at for token_id, at in session.execute(query) if at is not None}
    ended = {token.id: [revoked[one] for one in [token.id, *_ids(token)] if one in revoked] for token in tokens}
    return {token_id: min(moments) for token_id, moments in ended.items() if moments}


def bounded_expiry(caller: Caller, asked: datetime | None) -> datetime | None:
    """Return when a token ends that a caller mints: as asked, else with his own.

    Raises InvalidInput where more is asked for than he has.
    """
    if asked is not None and caller.expires_at is not None and asked > caller.expires_at:
        raise InvalidInput(
            f"field expires_at: your token expires at {caller.expires_at:%Y-%m-%dT%H:%M:%SZ}, and none that you mint"
            " lives longer",
            hint="say an earlier time, or leave expires_at away: then it expires with yours",
            field="expires_at",
        )
    return asked or caller.expires_at


def refuse_beyond(caller: Caller, token: ApiToken) -> None:
    """Raise Forbidden unless a caller could have minted this token, may do everything, or is its holder."""
    if token.id == caller.token_id or caller.has_permission("*"):
        return
    beyond = [f"may {name}" for name in _lacking(caller, token.permissions)]
    if caller.expires_at is not None and (token.expires_at is None or token.expires_at > caller.expires_at):
        beyond.append("lives longer")
    if beyond:
        raise Forbidden(
            f"the API token {token.id} is beyond yours, which cannot revoke it: it {', '.join(beyond[:10])}",
            hint="use a token that could have minted it, or one with the permission *",
        )


def refuse_lacking(caller: Caller, permissions: Collection[str]) -> None:
    """Raise Forbidden unless a caller has all of these permissions to give."""
    beyond = _lacking(caller, permissions)
    if beyond:
        raise Forbidden(
            f"your token lacks {', '.join(beyond)} and cannot give it away", hint="ask for permissions that you have"
        )


def _lacking(caller: Caller, permissions: Collection[str]) -> list[str]:
    return sorted(name for name in set(permissions) if not caller.has_permission(name))


def _ids(token: ApiToken) -> list[UUID]:
    return [UUID(one) for one in token.ancestors]
