"""A real Prefect server of the pinned version on a free loopback port, with SQLite in a folder of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.processes import Program

START_SECONDS = 90


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """A server that is up: its API's URL and the folder that holds everything it writes."""

    api_url: str
    home: Path
    program: Program

    @property
    def environment(self) -> dict[str, str]:
        """Return the whole environment of a client process; nothing of the caller's Prefect settings reaches it."""
        return environment_of(self.home) | {"PREFECT_API_URL": self.api_url}


def environment_of(home: Path) -> dict[str, str]:
    """Return the caller's environment with a Prefect home in `home`, no telemetry, and none of its own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return kept | {
        "HOME": str(home),  # what looks for ~/.prefect finds this folder
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
        "PREFECT_CLI_PROMPT": "false",
    }


@contextmanager
def prefect_server(folder: Path, *, auth_string: str | None = None) -> Iterator[PrefectServer]:
    """Start a server with everything it writes in `folder`, wait until it is healthy, stop it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = environment_of(folder) | {"PREFECT_SERVER_UI_ENABLED": "false"}
    if auth_string is not None:
        environment["PREFECT_SERVER_API_AUTH_STRING"] = auth_string
    words = [
        sys.executable,
        "-m",
        "bootpress.adapters.orchestrator.server",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    url = f"http://127.0.0.1:{port}/api"
    with Program(words, log=folder / "server.log", env=environment, cwd=folder) as program:
        program.wait_until(lambda: _is_healthy(url), what="Prefect is healthy", seconds=START_SECONDS)
        yield PrefectServer(api_url=url, home=folder, program=program)


def _is_healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=2).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
