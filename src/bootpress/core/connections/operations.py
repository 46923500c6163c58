"""Public operations on connections."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, StrictBool

from bootpress.core.connections import service
from bootpress.core.context import Caller, Context
from bootpress.core.operation import (
    OperationRequest,
    OperationResponse,
    PageAnswer,
    PageRequest,
    Text,
    Unless,
    operation,
)
from bootpress.core.pagination import page_of
from bootpress.core.ports import ForgeConnection, ForgeKind, RegistryConnection

READ = "system.connections.read"
MANAGE = "system.connections.manage"

Name = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]


def _is_one_line(token: SecretStr) -> SecretStr:
    """Refuse what no header carries before a client of ours trips over it, and without showing it."""
    if any(unicodedata.category(character) == "Cc" for character in token.get_secret_value()):
        raise ValueError("holds the end of a line or another control character")
    return token


Token = Annotated[SecretStr, Field(min_length=1, max_length=16384), AfterValidator(_is_one_line)]


class ConnectRegistry(OperationRequest):
    """A registry host and the credential for it."""

    name: Name = service.DEFAULT
    host: Text
    username: Text | None = None
    token: Token | None = None
    plain_http: StrictBool = False


class ConnectionView(OperationResponse):
    """A connection, without its secret."""

    name: str
    kind: Literal["registry"]
    host: str
    username: str | None
    plain_http: bool

    @classmethod
    def of(cls, connection: RegistryConnection) -> ConnectionView:
        """Show a connection."""
        return cls(
            name=connection.name,
            kind="registry",
            host=connection.host,
            username=connection.username,
            plain_http=connection.plain_http,
        )


class ConnectionAnswer(OperationResponse):
    """One connection."""

    connection: ConnectionView


class ListConnections(PageRequest):
    """Which connections to list: all of the account's, in pages."""


class ConnectForge(OperationRequest):
    """A forge and a token of it; the embedded one (`local`) needs neither URL nor token."""

    name: Name = service.DEFAULT
    kind: ForgeKind
    url: Annotated[Unless[Text], Field(description="Base of Gitea's pages; the embedded forge needs none")] = None
    token: Annotated[Token | None, Field(description="An access token of Gitea's")] = None


class ForgeView(OperationResponse):
    """A forge connection, without its token."""

    name: str
    kind: ForgeKind
    url: str

    @classmethod
    def of(cls, connection: ForgeConnection) -> ForgeView:
        """Show a connection."""
        return cls(name=connection.name, kind=connection.kind, url=connection.url)


class CheckedForgeView(ForgeView):
    """A forge connection, and what the forge said when it was checked."""

    version: str
    user: str
    missing_scopes: list[str]
    actions_enabled: bool | None


class ForgeAnswer(OperationResponse):
    """One forge connection."""

    connection: CheckedForgeView


class ConnectionList(PageAnswer):
    """Connections, by kind and name."""

    connections: list[ConnectionView | ForgeView]


@operation(permission=MANAGE, asks_outside=True)
def system_connect_registry(context: Context, caller: Caller, request: ConnectRegistry) -> ConnectionAnswer:
    """Connect a registry: checked before it is saved, by calls that change nothing."""
    connection = service.connect_registry(
        context,
        caller.account_id,
        RegistryConnection(
            name=request.name,
            host=request.host,
            username=request.username,
            token=request.token.get_secret_value() if request.token else None,
            plain_http=request.plain_http,
        ),
    )
    return ConnectionAnswer(connection=ConnectionView.of(connection))


@operation(permission=MANAGE, asks_outside=True)
def system_connect_forge(context: Context, caller: Caller, request: ConnectForge) -> ForgeAnswer:
    """Connect a forge: checked before it is saved, by calls that change nothing."""
    connection, info = service.connect_forge(
        context,
        caller.account_id,
        name=request.name,
        kind=request.kind,
        url=request.url,
        token=request.token.get_secret_value() if request.token else None,
    )
    return ForgeAnswer(
        connection=CheckedForgeView(
            **ForgeView.of(connection).model_dump(),
            version=info.version,
            user=info.user,
            missing_scopes=list(info.missing_scopes),
            actions_enabled=info.actions_enabled,
        )
    )


@operation(permission=READ, changes=False)
def system_list_connections(context: Context, caller: Caller, request: ListConnections) -> ConnectionList:
    """List what the account is connected to, never a secret."""
    connected = service.list_forges(context, caller.account_id)
    registries = [ConnectionView.of(row) for row in context.connections.list_registries(caller.account_id)]
    found: list[ConnectionView | ForgeView] = [*map(ForgeView.of, connected), *registries]
    rows, next_cursor = page_of(found, by=_place, limit=request.limit, cursor=request.cursor)
    return ConnectionList(connections=rows, next_cursor=next_cursor)


def _place(connection: ConnectionView | ForgeView) -> tuple[str, ...]:
    """Return what connections are ordered by: forges before registries, then their names."""
    return "registry" if isinstance(connection, ConnectionView) else "forge", connection.name
