"""Which registry connection serves a host."""

from __future__ import annotations

from uuid import UUID

from bootpress.core.addresses import check_host
from bootpress.core.context import Context
from bootpress.core.errors import InvalidInput, RegistryUnavailable
from bootpress.core.ports import Registry, RegistryConnection

DEFAULT = "default"


def open_registry(context: Context, account_id: UUID, host: str, name: str | None) -> Registry:
    """Open the registry of `host` with the connection a platform names, else the account's for that host, else none.

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
        return context.registries.open(connection)
    for connection in context.connections.list_registries(account_id):
        if connection.host == host:
            return context.registries.open(connection)
    return context.registries.open(RegistryConnection(name=host, host=host))


def check_name(context: Context, account_id: UUID, host: str, name: str) -> None:
    """Raise InvalidInput unless the account has a registry connection of that name for `host`."""
    connection = context.connections.find_registry(account_id, name)
    if connection is None or connection.host != host:
        raise InvalidInput(
            f"field registry: the connection {_misfit(connection, name, host)}",
            hint="connect it first with system_connect_registry, or leave registry away: the host finds its connection",
            field="registry",
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
    context.registries.open(checked).check()
    context.connections.save_registry(account_id, checked)
    return checked
