"""The Prefect server of a home: on loopback, with its database, its UI and its own home in there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.core.errors import OrchestratorUnavailable
from bootpress.sign_in import codes_of
from bootpress.stack.environment import auth_string, configured, prefect_environment
from bootpress.stack.home import Home
from bootpress.stack.ports import LOOPBACK
from bootpress.stack.processes import Spec, python

DATABASE: Final = tuple(
    f"PREFECT_{of}_DATABASE_{name}" for of in ("SERVER", "API") for name in ("CONNECTION_URL", "DRIVER")
)
"""By any of these the environment names a database: whole, or by the driver in front of its parts."""
HEALTH_SECONDS: Final = 1.0
DEFAULTS: Final = {
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(30 * 24 * 3600),
}
"""What holds unless the environment says otherwise: no advertisements, and for how long Prefect keeps its history,
runs with their logs and reports 30 days, events 7 (its default). By itself it keeps runs for ever, and those of the
relay alone are 1,440 a day."""


@dataclass(frozen=True, slots=True)
class PrefectAddress:
    """Where Prefect is; `api_url` ends in /api."""

    api_url: str
    is_ours: bool

    @property
    def url(self) -> str:
        """Return the address of the server and its UI."""
        return self.api_url.removesuffix("/api")


def address(port: int, base: Mapping[str, str] = os.environ) -> PrefectAddress:
    """Return the server that the environment names, else our own on that port."""
    url = configured(base)
    return PrefectAddress(url or f"http://{LOOPBACK}:{port}/api", is_ours=not url)


def spec(home: Home, port: int, base: Mapping[str, str] = os.environ, *, allowed_hosts: Sequence[str] = ()) -> Spec:
    """Return how to run the server; the database is the environment's, else SQLite in the home.

    It always wants its authentication string, and answers `allowed_hosts` beside those of loopback.
    """
    environment = prefect_environment(home, base) | {
        "PREFECT_SERVER_API_AUTH_STRING": auth_string(home, base),
        "PREFECT_LOGGING_SERVER_LEVEL": base.get("PREFECT_LOGGING_SERVER_LEVEL", "WARNING"),
        # Its UI would look for the API at Prefect's default port; so it asks whoever served it, tunnels included.
        "PREFECT_UI_API_URL": "/api",
        "PREFECT_UI_STATIC_DIRECTORY": str(home.prefect / "ui"),  # it writes its pages with their base path filled in
    }
    for foreign in ("PREFECT_API_KEY", "PREFECT_PROFILE"):
        environment.pop(foreign, None)
    environment = DEFAULTS | environment
    if not any(name in environment for name in DATABASE):
        environment[DATABASE[0]] = f"sqlite+aiosqlite:///{home.prefect / 'prefect.db'}"
    words = ["--host", LOOPBACK, "--port", str(port), "--sign-in", str(codes_of(home.folder, "prefect").folder)]
    words += [word for host in allowed_hosts for word in ("--allow-host", host)]
    return Spec("prefect", python("bootpress.adapters.prefect_api.server_main", *words), environment)


def client(where: PrefectAddress, environment: Mapping[str, str]) -> PrefectApi:
    """Return a client for looking at the server's health."""
    return PrefectApi.from_environment({**environment, "PREFECT_API_URL": where.api_url}, call_seconds=HEALTH_SECONDS)


def is_healthy(api: PrefectApi) -> bool:
    """Tell whether the server answers and has its database."""
    try:
        return api.get("/health") is True
    except OrchestratorUnavailable:
        return False
