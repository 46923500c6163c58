"""A real Prefect server of the pinned version on a free loopback port, with SQLite in a folder of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.processes import Program

START_SECONDS = 90


class PrefectServer:
    """A server that is up: its API's URL and the folder that holds everything it writes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        port = free_port()
        self.api_url = f"http://127.0.0.1:{port}/api"
        self._words = [sys.executable, "-m", "bootpress.adapters.prefect_api.server_main"]
        self._words += ["--host", "127.0.0.1", "--port", str(port)]
        self._program: Program | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Return the whole environment of a client process; nothing of the caller's Prefect settings reaches it."""
        return environment_of(self.home) | {"PREFECT_API_URL": self.api_url}

    def start(self) -> None:
        """Start the server, the first time or again, and wait until it is healthy."""
        environment = environment_of(self.home) | {"PREFECT_SERVER_UI_ENABLED": "false"}
        self._program = Program(self._words, log=self.home / "server.log", env=environment, cwd=self.home)
        self._program.wait_until(self._is_healthy, what="Prefect is healthy", seconds=START_SECONDS)

    def stop(self) -> None:
        """Stop the server; its database stays."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.api_url}/health", timeout=2).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


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
def prefect_server(folder: Path) -> Iterator[PrefectServer]:
    """Start a server with everything it writes in `folder`, wait until it is healthy, stop it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    server = PrefectServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
