"""Run the HTTP API: `python -m bootpress.entrypoints.api.server`."""

from __future__ import annotations

import dataclasses
import logging
import math
import resource
import sys

import uvicorn
from fastapi import FastAPI

from bootpress.adapters.prefect_api.gc_thread import run_gc_on_thread
from bootpress.entrypoints.api.app import create_app
from bootpress.entrypoints.api.http_protocol import ConnectionLimits, limited_protocol
from bootpress.settings import Settings
from bootpress.wiring import DEFAULT_PORT, create_context, create_run_schedulers

BACKLOG = 256
"""Connections that may wait to be accepted; so many are accepted in one go."""
OTHER_FILES = 256
"""Open files that are no clients' connections."""
STOPPING = 5
"""Seconds that requests under way get to finish."""


def server(
    app: FastAPI, *, host: str, port: int, trusted_proxies: str | None = None, bounds: ConnectionLimits | None = None
) -> uvicorn.Server:
    """Return a server of one process; it logs no paths, since some hold tokens, and nothing that a stranger can cause.

    `X-Forwarded-For` and `-Proto` are believed of `trusted_proxies` alone: addresses and networks, comma-separated.
    """
    bounds = bounds or ConnectionLimits()
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    bounds = dataclasses.replace(bounds, connections=min(bounds.connections, affordable_connections(files)))
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            http=limited_protocol(bounds),
            backlog=BACKLOG,
            access_log=False,
            log_level=logging.ERROR,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=trusted_proxies,
            server_header=False,
            ws="none",
            timeout_keep_alive=math.ceil(bounds.idle),
            timeout_graceful_shutdown=STOPPING,
        )
    )


def affordable_connections(files: int) -> int:
    """Return how many connections leave enough of the files that may be open: without one, no database is reached."""
    return max(files - BACKLOG - OTHER_FILES, BACKLOG) if files != resource.RLIM_INFINITY else sys.maxsize


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C, and run the embedded forges' workflows meanwhile."""
    app = create_app(create_context(settings), settings=settings)
    port = settings.port or DEFAULT_PORT
    with create_run_schedulers(settings):
        server(app, host=settings.host, port=port, trusted_proxies=settings.trusted_proxies).run()


if __name__ == "__main__":
    run_gc_on_thread()  # threads share an SQLite file here
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("httpx", "alembic"):  # a line per call to Prefect, two per probe of /readyz
        logging.getLogger(noisy).setLevel(logging.WARNING)
    serve(Settings())
