"""Which ports a home listens on: the preferred ones or the next free at its first start, the same ones ever after."""

from __future__ import annotations

import errno
import json
import socket
import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from bootpress.core.errors import Conflict, InvalidInput
from bootpress.stack.home import write_private

LOOPBACK: Final = "127.0.0.1"
PREFERRED: Final = {"api": 8480, "prefect": 4200, "registry": 5000}
TRIED: Final = 200
WAIT_SECONDS: Final = 15.0
LAST_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a home; 0 for a part that it has never run itself."""

    api: int
    prefect: int = 0
    registry: int = 0


@dataclass(slots=True)
class PortReservations:
    """Keeps two stacks that start at once from choosing the same port; held until `release` or the process ends.

    A port cannot be held for a child that binds it itself. So each stack holds a name of the kernel's (an abstract
    Unix socket, one for each port) that another stack cannot have: no file, and gone with the process.
    """

    _held: dict[int, socket.socket] = field(default_factory=dict)

    def take(self, port: int, host: str) -> bool:
        """Reserve a port on which nothing listens; False if somebody has it."""
        if port in self._held:
            return False
        if not _is_free(port, host):
            return False
        name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            name.bind(f"\0bootpress-port-{port}")
        except OSError:
            name.close()
            return False
        self._held[port] = name
        return True

    def release(self) -> None:
        """Give every port back."""
        for name in self._held.values():
            name.close()
        self._held.clear()


def allocate_ports(
    path: Path,
    reservations: PortReservations,
    *,
    host: str = LOOPBACK,
    fixed: int | None = None,
    unused: Collection[str] = (),
    tick: Callable[[], None] = lambda: None,
    wait_seconds: float = WAIT_SECONDS,
) -> Ports:
    """Reserve the ports of a home and keep them in the file `path`.

    `fixed` is the API's port where the operator gave one, `host` the address the API listens on; the ports of `unused`
    parts, which run elsewhere, are kept and not asked for; `tick` is called while waiting. Raises Conflict when a port
    that the home keeps stays busy, InvalidInput when two parts are to have the same.
    """
    if fixed is not None and not 0 < fixed <= LAST_PORT:
        raise InvalidInput(f"{fixed} is no port", hint=f"a port lies between 1 and {LAST_PORT}", field="port")
    kept = _read(path)
    if fixed is not None:
        kept["api"] = fixed
    _refuse_doubles(kept)
    used = [name for name in PREFERRED if name not in unused]
    hosts = dict.fromkeys(PREFERRED, LOOPBACK) | {"api": host}
    deadline = time.monotonic() + wait_seconds
    for name in used:
        if name in kept:
            _wait_for(name, kept[name], hosts[name], reservations, deadline, tick)
    found = {name: _next_free(name, hosts[name], reservations) for name in used if name not in kept}
    ports = Ports(**(kept | found))
    write_private(path, json.dumps({name: port for name, port in asdict(ports).items() if port}) + "\n")
    return ports


def _refuse_doubles(kept: dict[str, int]) -> None:
    names: dict[int, str] = {}
    for name, port in kept.items():
        if port in names:
            raise InvalidInput(
                f"port {port} is this home's for its {names[port]} and its {name}",
                hint="give the API another with --port, or edit ports.json in the home",
                field="port",
            )
        names[port] = name


def _wait_for(
    name: str, port: int, host: str, reservations: PortReservations, deadline: float, tick: Callable[[], None]
) -> None:
    while not reservations.take(port, host):
        if time.monotonic() > deadline:
            raise Conflict(
                f"port {port}, which this home keeps for its {name}, is busy",
                hint="end what listens there (ss -ltnp shows it), or give the API another with --port"
                if name == "api"
                else "end what listens there (ss -ltnp shows it), or edit ports.json in the home",
            )
        tick()
        time.sleep(0.1)


def _next_free(name: str, host: str, reservations: PortReservations) -> int:
    first = PREFERRED[name]
    for port in range(first, first + TRIED):
        if (port not in PREFERRED.values() or port == first) and reservations.take(port, host):
            return port
    raise Conflict(f"no port from {first} to {first + TRIED - 1} is free for the {name}")


def _is_free(port: int, host: str) -> bool:
    """Tell whether a server could listen there; InvalidInput for an address that this machine does not have."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise InvalidInput(f"{host} is no address of this machine", field="host") from error
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: what a predecessor's connections left behind is no hindrance, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except PermissionError as error:
            raise InvalidInput(
                f"port {port} is for root alone", hint="choose one from 1024 on", field="port"
            ) from error
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise InvalidInput(f"{host} is no address of this machine", field="host") from error
    return True


def _read(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} cannot be read", hint="mend it, or remove it: new ports are chosen then") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{path} holds no ports", hint="remove it: new ports are chosen then")
    ports = {name: found[name] for name in PREFERRED if name in found}
    if not all(type(port) is int and 0 < port <= LAST_PORT for port in ports.values()):
        raise InvalidInput(f"{path} holds something that is no port", hint="remove it: new ports are chosen then")
    return ports
