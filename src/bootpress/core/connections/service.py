"""Which registry connection serves a host, and which forge a repository lies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from bootpress.core.context import Context
from bootpress.core.errors import Conflict, InvalidInput, RegistryUnavailable, RegistryUnreachable
from bootpress.core.ports import (
    Forge,
    ForgeConnection,
    ForgeFactory,
    ForgeInfo,
    ForgeKind,
    Registry,
    RegistryConnection,
)
from bootpress.core.url_validation import check_host, parse_base_url

DEFAULT = "default"


def open_registry(context: Context, account_id: UUID, host: str, name: str | None) -> Registry:
    """Open the registry of `host` with the connection that `find_connection` finds; raises what that raises."""
    return context.registries.open(find_connection(context, account_id, host, name))


def find_connection(context: Context, account_id: UUID, host: str, name: str | None) -> RegistryConnection:
    """Return the connection to `host` that a platform names, else the account's for that host, else a bare one.

    Credentials never go to another host than the one they were given for. Raises RegistryUnavailable when a named
    connection is missing or is for another host (an operator can mend that), OrchestratorUnavailable when
    connections cannot be read.
    """
    if name is not None:
        connection = context.connections.find_registry(account_id, name)
        if connection is None or connection.host != host:
            raise RegistryUnavailable(
                f"the platform's registry connection {_misfit(connection, name, host)}",
                hint="connect it with system_connect_registry, or change the platform's registry",
            )
        return connection
    for connection in context.connections.list_registries(account_id):
        if connection.host == host:
            return connection
    return RegistryConnection(name=host, host=host)


def check_name(context: Context, account_id: UUID, host: str, name: str) -> None:
    """Raise InvalidInput unless the account has a registry connection of that name for `host`."""
    connection = context.connections.find_registry(account_id, name)
    if connection is None or connection.host != host:
        raise InvalidInput(
            f"field registry: the connection {_misfit(connection, name, host)}",
            hint="connect it first with system_connect_registry, or leave registry away: the host finds its connection",
            field="registry",
        )


def check_forge_name(context: Context, account_id: UUID, name: str) -> None:
    """Raise InvalidInput unless the account has a forge connection of that name."""
    if context.connections.find_forge(account_id, name) is None:
        raise InvalidInput(
            f"field forge: there is no forge connection {name[:100]!r}",
            hint="connect it first with system_connect_forge, or leave forge away",
            field="forge",
        )


def _misfit(connection: RegistryConnection | None, name: str, host: str) -> str:
    where = f"is for {connection.host}" if connection else "does not exist"
    return f"{name[:100]!r} {where}; the platform's images lie on {host}"


def connect_registry(context: Context, account_id: UUID, connection: RegistryConnection) -> RegistryConnection:
    """Check a registry connection by calls that change nothing, then save it."""
    host = check_host(connection.host, field="host")
    if (connection.username is None) != (connection.token is None):
        raise InvalidInput("username and token belong together", field="token", hint="give both, or neither")
    checked = RegistryConnection(
        name=connection.name,
        host=host,
        username=connection.username,
        token=connection.token,
        plain_http=connection.plain_http,
    )
    try:
        context.registries.open(checked).check()
    except RegistryUnreachable as error:
        hint = error.hint or f"is {host} right, does a registry listen there, and can this machine reach it?"
        raise RegistryUnreachable(error.message, hint=hint, retry_after=error.retry_after) from error
    context.connections.save_registry(account_id, checked)
    return checked


def list_forges(context: Context, account_id: UUID) -> Sequence[ForgeConnection]:
    """List the forge connections of an account; raises OrchestratorUnavailable when they cannot be read."""
    return [of_account(one, context.forges, account_id) for one in context.connections.list_forges(account_id)]


def of_account(connection: ForgeConnection, forges: ForgeFactory, account_id: UUID) -> ForgeConnection:
    """Return a connection as it counts for its account: its embedded forge is where account and home say.

    Whoever edits what was written down reaches no other account's, and a home can be moved.
    """
    if connection.kind is ForgeKind.LOCAL:
        return replace(connection, url=forges.local_url(account_id))
    return connection


def open_forge(context: Context, account_id: UUID, name: str | None = None) -> tuple[str, Forge]:
    """Open the forge of that name, else the account's `default`, else its only one; return its name too.

    Raises Conflict where there is none, OrchestratorUnavailable when connections cannot be read.
    """
    connections = {one.name: one for one in list_forges(context, account_id)}
    chosen = connections.get(name or DEFAULT)
    if chosen is None and name is None and len(connections) == 1:
        chosen = next(iter(connections.values()))
    if chosen is None:
        what = f"no forge {name!r} is connected" if name else "no forge is connected"
        others = f"; there are: {', '.join(sorted(connections))}" if connections else ""
        raise Conflict(
            what + others, hint="connect one with system_connect_forge: a Gitea, or kind=local for the embedded one"
        )
    return chosen.name, context.forges.open(chosen)


def connect_forge(
    context: Context, account_id: UUID, *, name: str, kind: ForgeKind, url: str | None, token: str | None
) -> tuple[ForgeConnection, ForgeInfo]:
    """Check a forge connection by calls that change nothing, then save it."""
    connection = ForgeConnection(name, kind, _forge_url(context, account_id, kind, url), token)
    if kind is ForgeKind.GITEA and token is None:
        raise InvalidInput(
            "field token: a Gitea needs one", hint="make one in Gitea: Settings, Applications", field="token"
        )
    if kind is ForgeKind.LOCAL and token is not None:
        raise InvalidInput("field token: the embedded forge takes none", hint="leave it away", field="token")
    info = context.forges.open(connection).check()
    context.connections.save_forge(account_id, connection)
    return connection, info


def _forge_url(context: Context, account_id: UUID, kind: ForgeKind, url: str | None) -> str:
    if kind is ForgeKind.LOCAL:
        ours = context.forges.local_url(account_id)
        if url is not None and url.rstrip("/") != ours:
            raise InvalidInput(
                "field url: this is not the embedded forge of your account",
                hint=f"leave it away, or say {ours}",
                field="url",
            )
        return ours
    if url is None:
        raise InvalidInput(
            "field url: which Gitea?", hint="say the base of its pages: https://gitea.example", field="url"
        )
    return parse_base_url(url, field="url")
