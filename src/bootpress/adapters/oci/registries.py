"""The port `Registries`: one registry per connection, kept and shared by threads."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from pathlib import Path

from bootpress.adapters.oci.connection_pools import Network
from bootpress.adapters.oci.credentials import Credential, connection_credential, docker_credential
from bootpress.adapters.oci.limits import Limits
from bootpress.adapters.oci.push import Pusher
from bootpress.adapters.oci.registry import OciRegistry
from bootpress.adapters.oci.transport import Transport
from bootpress.core.ports import RegistryConnection
from bootpress.http_client.clock import Clock

MAX_OPEN = 64


class OciRegistries:
    """Opens registries, and keeps the latest of them with their connections and tokens.

    `docker_config` is the config.json whose credentials are used for hosts that a connection says nothing about;
    they are this installation's, for every account of it. Without one such hosts are asked without a credential.
    """

    def __init__(
        self,
        *,
        docker_config: Path | None = None,
        limits: Limits | None = None,
        timing: Clock | None = None,
        network: Network | None = None,
        max_open: int = MAX_OPEN,
    ) -> None:
        self._docker_config, self._limits, self._timing, self._network = docker_config, limits, timing, network
        self._max_open = max_open
        self._lock = threading.Lock()
        self._open: OrderedDict[RegistryConnection, Transport] = OrderedDict()

    def open(self, connection: RegistryConnection) -> OciRegistry:
        """Return the registry of a connection."""
        return OciRegistry(self._transport(connection))

    def open_pusher(self, connection: RegistryConnection) -> Pusher:
        """Return what pushes to the registry of a connection."""
        return Pusher(self._transport(connection))

    def close(self) -> None:
        """Close every connection as soon as nobody uses it."""
        with self._lock:
            transports = list(self._open.values())
            self._open.clear()
        for transport in transports:
            transport.close_when_idle()

    def _transport(self, connection: RegistryConnection) -> Transport:
        with self._lock:
            transport = self._open.get(connection)
            if transport is None:
                transport = self._open[connection] = self._connect(connection)
            self._open.move_to_end(connection)
            evicted = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - self._max_open)]
        for old in evicted:
            old.close_when_idle()
        return transport

    def _connect(self, connection: RegistryConnection) -> Transport:
        return Transport(
            connection.host,
            functools.partial(_find_credential, connection, self._docker_config),
            plain_http=connection.plain_http,
            limits=self._limits,
            timing=self._timing,
            network=self._network,
        )


def _find_credential(connection: RegistryConnection, docker_config: Path | None) -> Credential | None:
    own = connection_credential(connection)
    if own is None and docker_config is not None:
        return docker_credential(connection.host, docker_config)
    return own
