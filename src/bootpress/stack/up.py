"""`bootpress up`: Prefect, registry, API and worker in the foreground (docs/reference/contract.md#running)."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx
from rich.console import Console

from bootpress.settings import Settings
from bootpress.stack import prefect_server, registry
from bootpress.stack.environment import absolute, configured, service_environment, without_password
from bootpress.stack.errors import Stopped
from bootpress.stack.home import Home, write_private
from bootpress.stack.ports import PortReservations, Ports, allocate_ports
from bootpress.stack.processes import Spec, python
from bootpress.stack.supervisor import DEATHS, DEATHS_AT_START, Signals, Supervisor

POOL: Final = "bootpress"
START_SECONDS: Final = 180.0
LATE_SECONDS: Final = 8.0
"""How long the database may take before we say that we wait for it."""
GRACE_SECONDS: Final = 11.0
"""What flow runs get to end when the stack stops; the worker takes up to three more to report what is left."""
STAGES: Final = (
    (("remove-registry", "fetch-registry", "prepare-catalog", "prepare-prefect", "relay"), 0.2),
    (("worker", "api"), GRACE_SECONDS + 4),
    (("registry", "prefect"), 3.0),
)
"""Who stops together, in which order, and within how many seconds: less than 20 in sum."""
_WILDCARDS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - nothing is bound here


def up(settings: Settings) -> None:
    """Run the stack in the foreground, on the main thread, until SIGTERM or Ctrl-C.

    Raises Conflict when another one holds the home or a port, StackFailed when a part does not come or stay up.
    """
    settings = absolute(settings)
    home = Home(settings.home)
    home.create()
    with home.locked(), Signals() as signals:
        home.clear()
        settings.encryption_keys  # noqa: B018 - makes the key now: processes that start at once would race for it
        supervisor = Supervisor(home, signals)
        reservations = PortReservations()
        elsewhere = {"prefect": configured(), "registry": settings.registry}
        try:
            registry.remove_left_container(home, supervisor)
            ports = allocate_ports(
                home.ports,
                reservations,
                host=settings.host,
                fixed=settings.port,
                unused=[name for name, where in elsewhere.items() if where],
                tick=signals.check,
            )
            _Stack(settings, home, ports, supervisor).run()
        except Stopped:
            _say("stopping")
        finally:
            home.remove_endpoints()
            supervisor.stop(STAGES)
            reservations.release()


@dataclass(frozen=True, slots=True)
class _Stack:
    settings: Settings
    home: Home
    ports: Ports
    supervisor: Supervisor

    def run(self) -> None:
        """Start everything, say so, and keep it up; ends by an exception."""
        steps = _Steps()
        self.supervisor.deaths_allowed = DEATHS_AT_START
        prefect = prefect_server.address(self.ports.prefect)
        environment = service_environment(
            self.settings, self.home, prefect_api=prefect.api_url, api_url=self.api_url, api_port=self.ports.api
        )
        self._start_first(prefect, environment)
        hosts = self.settings.allowed_host_list
        local = registry.LocalRegistry(self.home, self.ports.registry, self.supervisor, allowed_hosts=hosts)
        if self.settings.registry is None:
            local.start()
        database = without_password(self.settings.catalog_url)
        late = steps.late("database", f"waiting for {database}; why is in {self.home.log('prepare-catalog')}")
        self._wait(lambda: self.supervisor.is_done("prepare-catalog") or late(), "the database")
        steps.done("database", database)
        self.supervisor.start(Spec("api", python("bootpress.entrypoints.api.server"), environment))
        health = prefect_server.client(prefect, environment)
        self._wait(partial(prefect_server.is_healthy, health), "Prefect")
        steps.done("prefect", prefect.url)
        self._wait(lambda: self.supervisor.is_done("prepare-prefect"), "the deployments")
        steps.done("deployments", "work pool, deployments and block types")
        address = self._complete_registry(local, steps)
        self._wait(self._api_is_ready, "the API")
        steps.done("api", self.api_url)
        self._wait(self._worker_is_ready, "the worker")
        steps.done("worker", self.home.worker_name())
        self.supervisor.start(Spec("relay", python("bootpress.stack.init_tasks", "relay"), environment, once=True))
        self._keep(prefect.url, address)

    @property
    def api_url(self) -> str:
        """Return the address of the API as this machine reaches it."""
        host = _WILDCARDS.get(self.settings.host, self.settings.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.ports.api}"

    def _start_first(self, prefect: prefect_server.PrefectAddress, environment: dict[str, str]) -> None:
        """Start what waits for nothing, and what imports for seconds before it has to wait."""
        if prefect.is_ours:
            hosts = self.settings.allowed_host_list
            self.supervisor.start(prefect_server.spec(self.home, self.ports.prefect, allowed_hosts=hosts))
        for task in ("catalog", "prefect"):
            words = python("bootpress.stack.init_tasks", task)
            self.supervisor.start(Spec(f"prepare-{task}", words, environment, once=True))
        words = python(
            "bootpress.stack.worker",
            *(POOL, self.home.worker_name(), str(self.settings.worker_threads)),
            *(str(self.home.run / "worker.ready"), str(GRACE_SECONDS)),
        )
        self.supervisor.start(Spec("worker", words, environment))

    def _complete_registry(self, local: registry.LocalRegistry, steps: _Steps) -> str | None:
        """Return the registry's `host:port`, None where there is none."""
        if self.settings.registry is not None:
            steps.done("registry", f"{self.settings.registry}, as configured")
            return self.settings.registry
        refusal = local.wait_until_ready()
        if refusal:
            steps.done("registry", f"none: {refusal}. Install docker-registry, or name one with BOOTPRESS_REGISTRY")
            return None
        steps.done("registry", local.address)
        return local.address

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        self.supervisor.wait_until(condition, what=what, seconds=START_SECONDS)

    def _api_is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.api_url}/readyz", timeout=1, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def _worker_is_ready(self) -> bool:
        try:
            return int((self.home.run / "worker.ready").read_text()) == self.supervisor.pids.get("worker")
        except (OSError, ValueError):
            return False

    def _keep(self, prefect_url: str, address: str | None) -> None:
        """Publish where everything is, and look after it; the pids are published again when they change."""
        self._publish(prefect_url, address)
        _say(f"ready: {self.api_url}")
        self.supervisor.deaths_allowed = DEATHS
        published = self.supervisor.restarts
        while True:
            self.supervisor.tick()
            if self.supervisor.restarts != published:
                with suppress(OSError):  # a full disk: once more at the next tick
                    self._publish(prefect_url, address)
                    published = self.supervisor.restarts

    def _publish(self, prefect_url: str, address: str | None) -> None:
        endpoints: dict[str, Any] = {
            "api_url": self.api_url,
            "prefect_url": prefect_url,
            "registry": address,
            "database": without_password(self.settings.catalog_url),
            "admin_token_file": str(self.home.admin_token),
            "pids": {"up": os.getpid(), **self.supervisor.pids},
        }
        write_private(self.home.endpoints, json.dumps(endpoints, indent=2) + "\n")


class _Steps:
    """Prints one line for each step, with the seconds since the start."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._console = Console(highlight=False)

    def late(self, name: str, text: str) -> Callable[[], bool]:
        """Return a false condition that says once, after a while, what is waited for."""
        pending = [time.monotonic() + LATE_SECONDS]

        def say() -> bool:
            if pending and time.monotonic() > pending[0]:
                pending.clear()
                self.done(name, text)
            return False

        return say

    def done(self, name: str, text: str) -> None:
        """Say that a step is done."""
        try:
            self._console.print(
                f"[dim]{time.monotonic() - self._begun:5.1f} s[/dim]  [bold]{name:<12}[/bold]", end="", soft_wrap=True
            )
            self._console.print(text, markup=False, soft_wrap=True)
        except OSError:  # whoever read our output is gone; the stack is not
            pass


def _say(line: str) -> None:
    try:
        print(line, flush=True)  # noqa: T201 - the line that scripts wait for
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - nobody reads any more; the exit must not fail
