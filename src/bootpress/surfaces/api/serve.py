"""Run the HTTP door: `python -m bootpress.surfaces.api.serve`."""

from __future__ import annotations

import logging

import uvicorn
from fastapi import FastAPI

from bootpress.adapters.orchestrator.collecting import collect_on_a_thread
from bootpress.settings import Settings
from bootpress.surfaces.api.app import create_app
from bootpress.wiring import DEFAULT_PORT, production

MAX_CONNECTIONS = 2_000
"""Beyond it uvicorn answers 503: what is open costs memory."""
STOPPING = 5
"""Seconds that requests under way get to finish."""


def server(app: FastAPI, *, host: str, port: int, trusted_proxies: str | None = None) -> uvicorn.Server:
    """Return a server of one process; it logs no paths, since some hold tokens.

    `X-Forwarded-For` and `-Proto` are believed of `trusted_proxies` alone: addresses and networks, comma-separated.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            access_log=False,
            log_level=logging.WARNING,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=trusted_proxies,
            server_header=False,
            ws="none",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=STOPPING,
        )
    )


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    app = create_app(production(settings), settings=settings)
    port = settings.port or DEFAULT_PORT
    server(app, host=settings.host, port=port, trusted_proxies=settings.trusted_proxies).run()


if __name__ == "__main__":
    collect_on_a_thread()  # threads share an SQLite file here
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("httpx", "alembic"):  # a line per call to Prefect, two per probe of /readyz
        logging.getLogger(noisy).setLevel(logging.WARNING)
    serve(Settings())
