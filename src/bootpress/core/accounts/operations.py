"""Public operations on API tokens."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from bootpress.core.accounts import service
from bootpress.core.accounts.models import ApiToken
from bootpress.core.context import Caller, Context
from bootpress.core.errors import InvalidInput
from bootpress.core.operation import (
    Moment,
    OperationRequest,
    OperationResponse,
    PageAnswer,
    PageRequest,
    Text,
    Title,
    When,
    operation,
)

MANAGE = "system.api_tokens.manage"
MAX_PERMISSIONS = 100


class CreateApiToken(OperationRequest):
    """What a new token may do, and until when: without expires_at as long as the one that mints it, its parent."""

    name: Title
    permissions: Annotated[list[Text], Field(min_length=1, max_length=MAX_PERMISSIONS)]
    expires_at: When | None = None


class CreatedApiToken(OperationResponse):
    """A new token; its text is shown this once."""

    token_id: UUID
    token: str | None
    expires_at: Moment | None


class ListApiTokens(PageRequest):
    """Which tokens to list: all of the account's, in pages."""


class ApiTokenView(OperationResponse):
    """A token, without its text; it is revoked with its parent."""

    id: UUID
    name: str
    permissions: Annotated[list[str], Field(max_length=MAX_PERMISSIONS)]
    parent_id: UUID | None
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None

    @classmethod
    def of(cls, token: ApiToken, revoked_at: datetime | None) -> ApiTokenView:
        """Show a row that was revoked then, itself or with one that it descends from."""
        return cls(
            id=token.id,
            name=token.name,
            permissions=token.permissions,
            parent_id=UUID(token.ancestors[-1]) if token.ancestors else None,
            created_at=token.created_at,
            expires_at=token.expires_at,
            revoked_at=revoked_at,
        )


class ApiTokenList(PageAnswer):
    """Tokens, oldest first."""

    tokens: list[ApiTokenView]


class RevokeApiToken(OperationRequest):
    """Which token to revoke."""

    id: UUID


class RevokedToken(OperationResponse):
    """The revoked token."""

    token: ApiTokenView


def _check_permissions(names: Sequence[str]) -> None:
    from bootpress.core.operation_registry import PERMISSIONS  # noqa: PLC0415 - the catalogue is made of this module too

    for name in names:
        if name != "*" and name not in PERMISSIONS:
            close = difflib.get_close_matches(name[:100], PERMISSIONS, n=1)
            raise InvalidInput(
                f"field permissions: there is no permission {name[:100]!r}",
                hint=f"did you mean {close[0]}?" if close else f"there are: *, {', '.join(PERMISSIONS)}",
                field="permissions",
            )


@operation(permission=MANAGE, secrets=("token",))
def create_api_token(context: Context, caller: Caller, request: CreateApiToken) -> CreatedApiToken:
    """Mint an API token for a person or a machine; its text is shown once, and it ends with the token that mints it."""
    _check_permissions(request.permissions)
    made = service.create_token_for(
        context, caller, name=request.name, permissions=request.permissions, expires_at=request.expires_at
    )
    return CreatedApiToken(token_id=made.id, token=made.text, expires_at=made.expires_at)


@operation(permission=MANAGE, changes=False)
def list_api_tokens(context: Context, caller: Caller, request: ListApiTokens) -> ApiTokenList:
    """List the account's API tokens, never their text."""
    found, next_cursor = service.list_tokens(
        context, account_id=caller.account_id, limit=request.limit, cursor=request.cursor
    )
    return ApiTokenList(tokens=[ApiTokenView.of(*one) for one in found], next_cursor=next_cursor)


@operation(permission=MANAGE)
def revoke_api_token(context: Context, caller: Caller, request: RevokeApiToken) -> RevokedToken:
    """Revoke an API token for good, and whatever was minted with it: one's own, or one that one could have minted."""
    token = service.revoke_token(context, account_id=caller.account_id, token_id=request.id, by=caller)
    return RevokedToken(token=ApiTokenView.of(token, token.revoked_at))
