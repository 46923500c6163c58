"""Credentials for a registry: the connection's own, else what `docker login` left on this machine."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import oras.auth.token
import oras.container
import oras.utils

from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import is_docker_hub

DOCKER_HUB_LOGIN = "https://index.docker.io/v1/"  # what `docker login` calls it


@dataclass(frozen=True, slots=True)
class Credential:
    """User name and password as the Basic scheme writes them (RFC 7617); never in a repr."""

    basic: str = field(repr=False)

    @property
    def header(self) -> str:
        """Return the value of an Authorization header."""
        return f"Basic {self.basic}"


FindCredential = Callable[[], Credential | None]


def connection_credential(connection: RegistryConnection) -> Credential | None:
    """Return the credential that a connection carries."""
    if connection.username is None or connection.token is None:
        return None
    return Credential(base64.b64encode(f"{connection.username}:{connection.token}".encode()).decode())


def docker_credential(host: str, config: Path) -> Credential | None:
    """Return what a docker configuration has for a host: `auths`, `credHelpers`, `credsStore`, as oras reads them.

    Raises RegistryUnavailable when the file or a credential helper's answer cannot be read. The file is read anew
    each time, as helpers hand out credentials that expire.
    """
    if not config.is_file():
        return None
    backend = oras.auth.token.TokenAuth()
    try:
        stated = oras.utils.read_json(str(config))
        # oras would merge ~/.docker/config.json in; private names, held by a test of their own.
        backend._auth_config = {  # noqa: SLF001 - oras has no way to read one file only
            "auths": stated.get("auths") or {},
            "credsStore": stated.get("credsStore"),
            "credHelpers": stated.get("credHelpers") or {},
        }
        for name in (host, *([DOCKER_HUB_LOGIN] if is_docker_hub(host) else [])):
            backend.load_configs(oras.container.Container("name", registry=name))
    except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
        raise RegistryUnavailable(
            f"the docker configuration {config} has no credential for {host} that can be read: {type(error).__name__}",
            hint="log in again, or connect the registry with system_connect_registry",
        ) from error
    basic = getattr(backend, "_basic_auth", None)
    return Credential(basic) if isinstance(basic, str) and basic.isascii() and basic.isprintable() else None
