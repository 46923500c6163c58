"""Read tokens: JWTs of ours that a runner reads our API with, each of them a row among the API tokens.

The row decides: what it may do, whether it is revoked or over. The text is made of the row and of a key of this
installation, so that it need not be kept; HS256 (RFC 7519, RFC 7518 section 3.2) and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import jwt
from jwt.types import Options
from sqlalchemy import select
from sqlalchemy.orm import Session

from bootpress.core.accounts import lineage
from bootpress.core.accounts.models import ApiToken
from bootpress.core.context import Context
from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import CatalogUnavailable

_ALGORITHM: Final = "HS256"
_PURPOSE: Final = b"bootpress read token"
_ISSUER: Final = "bootpress"
_CLAIMS: Final[Options] = {"require": ["iss", "sub", "jti", "iat"], "verify_iat": False, "verify_exp": False}
"""Times are the row's to decide, by our clock."""


def issue(
    context: Context,
    session: Session,
    *,
    account_id: UUID,
    ci_worker_id: UUID,
    name: str,
    permissions: Sequence[str],
    parent_id: UUID | None = None,
) -> ApiToken:
    """Add a token of a CI worker to the running transaction; those that it has stay until they are revoked.

    It ends with the token that asked for it, its parent.
    """
    now = context.clock.now()
    parent = session.get(ApiToken, parent_id) if parent_id is not None else None
    token = ApiToken(
        id=uuid4(),
        account_id=account_id,
        ci_worker_id=ci_worker_id,
        name=name,
        permissions=sorted(permissions),
        created_at=now,
        expires_at=parent.expires_at if parent is not None else None,
        revoked_at=None,
        ancestors=lineage.descend(session, parent_id),
    )
    token.token_sha256 = _sha256(_encode(context.secrets.derive(_PURPOSE)[0], token))
    session.add(token)
    return token


def encode_token(context: Context, token: ApiToken) -> str:
    """Return the text of a token; CatalogUnavailable when the key that it was made with is gone."""
    for key in context.secrets.derive(_PURPOSE):
        text = _encode(key, token)
        if _sha256(text) == token.token_sha256:
            return text
    raise CatalogUnavailable(
        f"the read token {token.id} was made with a key that this installation has no more",
        hint="add that key to BOOTPRESS_ENCRYPTION_KEY, or revoke the token",
    )


def is_genuine(box: SecretCipher, text: str, token_id: UUID) -> bool:
    """Tell whether one of our keys signed this text for this row."""
    for key in box.derive(_PURPOSE):
        try:
            claims = jwt.decode(text, key, algorithms=[_ALGORITHM], issuer=_ISSUER, options=_CLAIMS)
        except jwt.InvalidTokenError:
            continue
        return bool(claims["jti"] == str(token_id))
    return False


def list_active(session: Session, ci_worker_id: UUID) -> list[ApiToken]:
    """Return a worker's tokens that are not revoked, oldest first."""
    query = select(ApiToken).where(ApiToken.ci_worker_id == ci_worker_id, ApiToken.revoked_at.is_(None))
    return list(session.scalars(query.order_by(ApiToken.created_at, ApiToken.id)))


def revoke(session: Session, ci_worker_id: UUID, *, now: datetime, but: UUID | None = None) -> None:
    """Revoke a worker's tokens, but for one."""
    for token in list_active(session, ci_worker_id):
        if token.id != but:
            token.revoked_at = now


def _encode(key: bytes, token: ApiToken) -> str:
    claims = {
        "iss": _ISSUER,
        "sub": f"ci-worker:{token.ci_worker_id}",
        "jti": str(token.id),
        "iat": int(token.created_at.timestamp()),
    }
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
