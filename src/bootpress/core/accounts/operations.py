"""Public operations on API tokens."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import Field

from bootpress.core.accounts import service
from bootpress.core.accounts.models import ApiToken
from bootpress.core.context import Caller, Context
from bootpress.core.errors import InvalidInput
from bootpress.core.operations import Answer, Moment, Request, Text, Title, When, operation

MANAGE = "system.api_tokens.manage"


class CreateApiToken(Request):
    """What a new token may do."""

    name: Title
    permissions: Annotated[list[Text], Field(min_length=1, max_length=100)]
    expires_at: When | None = None


class MintedToken(Answer):
    """A new token; its text is shown this once."""

    token_id: UUID
    token: str | None


class ListApiTokens(Request):
    """Nothing to choose."""


class ApiTokenView(Answer):
    """A token, without its text."""

    id: UUID
    name: str
    permissions: list[str]
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None

    @classmethod
    def of(cls, token: ApiToken) -> ApiTokenView:
        """Show a row."""
        return cls(
            id=token.id,
            name=token.name,
            permissions=token.permissions,
            created_at=token.created_at,
            expires_at=token.expires_at,
            revoked_at=token.revoked_at,
        )


class ApiTokenList(Answer):
    """Tokens, oldest first."""

    tokens: list[ApiTokenView]


class RevokeApiToken(Request):
    """Which token to revoke."""

    id: UUID


class RevokedToken(Answer):
    """The revoked token."""

    token: ApiTokenView


def _check_permissions(names: Sequence[str]) -> None:
    from bootpress.core.catalogue import PERMISSIONS  # noqa: PLC0415 - the catalogue is made of this module too

    for name in names:
        if name != "*" and name not in PERMISSIONS:
            close = difflib.get_close_matches(name[:100], PERMISSIONS, n=1)
            raise InvalidInput(
                f"field permissions: there is no permission {name[:100]!r}",
                hint=f"did you mean {close[0]}?" if close else f"there are: *, {', '.join(PERMISSIONS)}",
                field="permissions",
            )


@operation(permission=MANAGE, secrets=("token",))
def create_api_token(context: Context, caller: Caller, request: CreateApiToken) -> MintedToken:
    """Mint an API token for a person or a machine; its text is shown once."""
    _check_permissions(request.permissions)
    token_id, text = service.mint_for(
        context, caller, name=request.name, permissions=request.permissions, expires_at=request.expires_at
    )
    return MintedToken(token_id=token_id, token=text)


@operation(permission=MANAGE, changes=False)
def list_api_tokens(context: Context, caller: Caller, request: ListApiTokens) -> ApiTokenList:
    """List the account's API tokens, never their text."""
    return ApiTokenList(tokens=[ApiTokenView.of(token) for token in service.list_tokens(context, caller.account_id)])


@operation(permission=MANAGE)
def revoke_api_token(context: Context, caller: Caller, request: RevokeApiToken) -> RevokedToken:
    """Revoke an API token for good."""
    token = service.revoke_token(context, account_id=caller.account_id, token_id=request.id)
    return RevokedToken(token=ApiTokenView.of(token))
