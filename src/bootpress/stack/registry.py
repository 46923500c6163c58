"""The local OCI registry: Debian's docker-registry, installed or unpacked into the home, else a container of it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from bootpress.stack import registry_container, registry_download
from bootpress.stack.environment import common
from bootpress.stack.home import Home, write_private
from bootpress.stack.ports import LOOPBACK
from bootpress.stack.processes import Spec, python
from bootpress.stack.registry_guard import SOCKET
from bootpress.stack.supervisor import Supervisor

FETCHING: Final = "fetch-registry"
REMOVING: Final = "remove-registry"
FETCH_SECONDS: Final = 60.0
"""What fetching may take in all, beside the start of everything else."""
READY_SECONDS: Final = 60.0
REMOVE_SECONDS: Final = 25.0


@dataclass(frozen=True, slots=True)
class RegistryLaunch:
    """How the registry is run (`spec`), or why it is not (`reason`)."""

    spec: Spec | None
    reason: str


class LocalRegistry:
    """The registry of a home: begun with the stack, complete when it answers or when it is known why there is none."""

    def __init__(
        self,
        home: Home,
        port: int,
        supervisor: Supervisor,
        *,
        fetch_seconds: float = FETCH_SECONDS,
        allowed_hosts: Sequence[str] = (),
    ) -> None:
        self.address = f"{LOOPBACK}:{port}"
        self._home = home
        self._port = port
        self._supervisor = supervisor
        self._allowed_hosts = allowed_hosts
        self._deadline = time.monotonic() + fetch_seconds

    def start(self) -> None:
        """Start it, or what fetches it; that goes on beside the start of everything else."""
        spec = None
        if find_program(self._home) is not None:
            spec = choose(self._home, self._port, self._allowed_hosts).spec
        self._supervisor.start(spec or _fetching(self._home))

    def wait_until_ready(self) -> str:
        """Wait until it answers, and return nothing; or return why there is none."""
        if self._supervisor.runs(FETCHING):
            self._supervisor.wait_or_kill(FETCHING, seconds=self._deadline - time.monotonic())
            choice = choose(self._home, self._port, self._allowed_hosts)
            if choice.spec is None:
                return choice.reason
            self._supervisor.start(choice.spec)
        self._supervisor.wait_until(lambda: is_ready(self.address), what="the registry", seconds=READY_SECONDS)
        return ""


def choose(home: Home, port: int, allowed_hosts: Sequence[str] = ()) -> RegistryLaunch:
    """Decide how to run a registry on a port of this machine, with what is here and was fetched at this start."""
    guard = _Guard(home, port, allowed_hosts)
    program = find_program(home)
    if program is not None:
        return RegistryLaunch(_program_spec(guard, program), str(program))
    outcome = registry_download.outcome(home)
    if outcome.is_container:
        return RegistryLaunch(_container_spec(guard), f"a container of {registry_container.IMAGE}")
    return RegistryLaunch(None, outcome.reason)


def remove_left_container(home: Home, supervisor: Supervisor) -> None:
    """Remove a container that a killed predecessor may have left: it would hold the port that this home waits for."""
    if home.had_container.exists():
        words = python("bootpress.stack.registry_container", "remove", str(home.registry))
        supervisor.start(Spec(REMOVING, words, common(home), once=True))
        if supervisor.wait_or_kill(REMOVING, seconds=REMOVE_SECONDS):
            home.had_container.unlink(missing_ok=True)


def find_program(home: Home, path: str | None = None) -> Path | None:
    """Return the program where it is installed (on `path`, by default PATH), or unpacked into this home."""
    found = shutil.which(registry_download.PACKAGE, path=path)
    if found:
        return Path(found)
    unpacked = registry_download.unpacked(home)
    return unpacked if os.access(unpacked, os.X_OK) else None


def is_ready(address: str) -> bool:
    """Tell whether a registry answers at `host:port`."""
    try:
        answer = httpx.get(f"http://{address}/v2/", timeout=1, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code in {httpx.codes.OK, httpx.codes.UNAUTHORIZED}


def _fetching(home: Home) -> Spec:
    return Spec(FETCHING, python("bootpress.stack.registry_download", str(home.folder)), common(home), once=True)


@dataclass(frozen=True, slots=True)
class _Guard:
    """What listens on the port; the registry itself listens on a socket in a folder of this start."""

    home: Home
    port: int
    allowed_hosts: Sequence[str]

    @property
    def folder(self) -> Path:
        return self.home.run / "registry"

    def before(self, words: Sequence[str]) -> tuple[str, ...]:
        """Return the words that run the guard, and a program behind it."""
        hosts = [word for host in self.allowed_hosts for word in ("--allow-host", host)]
        return python("bootpress.stack.registry_guard", str(self.folder), str(self.port), *hosts, "--", *words)


def _program_spec(guard: _Guard, program: Path) -> Spec:
    config = _write_config(guard, storage=str(guard.home.registry))
    socket = {"REGISTRY_HTTP_NET": "unix", "REGISTRY_HTTP_ADDR": SOCKET}
    environment = common(guard.home) | socket | {"OTEL_TRACES_EXPORTER": "none"}
    return Spec("registry", guard.before((str(program), "serve", str(config))), environment)


def _container_spec(guard: _Guard) -> Spec:
    home, config = guard.home, _write_config(guard, storage="/var/lib/registry")
    words = python("bootpress.stack.registry_container", "run", str(home.registry), str(config), str(guard.folder))
    write_private(home.had_container, "")
    # It removes its container before it ends, which the kernel's SIGKILL would not let it.
    return Spec("registry", guard.before(words), common(home), death_signal=signal.SIGTERM)


def _write_config(guard: _Guard, *, storage: str) -> Path:
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        # No blobdescriptor cache: it remembers what was deleted. No http.host: uploads go where the request came to.
        "storage": {"filesystem": {"rootdirectory": storage}, "delete": {"enabled": True}},
        # The address is the guard's, as clients know it; the environment names the socket.
        "http": {"addr": f"{LOOPBACK}:{guard.port}", "secret": secrets.token_hex(32)},
    }
    path = guard.home.run / "registry.yml"
    write_private(path, yaml.safe_dump(config))
    return path
