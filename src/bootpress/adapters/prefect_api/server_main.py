"""Prefect's server behind our guard, with a garbage collector that cannot stop it.

    python -m bootpress.adapters.prefect_api.server_main --host 127.0.0.1 --port 4200

Prefect's own command runs the same application in the same way, but takes no other one. Measured on Prefect 3.8.8 with
SQLite: eight runs at once made the server stand still for thirty to sixty seconds, in every other trial; with garbage
collected on a thread of its own they are done in three.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings

from bootpress.adapters.prefect_api.gc_thread import run_gc_on_thread
from bootpress.adapters.prefect_api.guard import GuardedPrefect
from bootpress.core.request_origins import OwnHosts
from bootpress.sign_in import SignInCodes


def serve(host: str, port: int, *, allowed_hosts: Sequence[str] = (), sign_in: Path | None = None) -> None:
    """Serve API and UI until SIGTERM or Ctrl-C, with Prefect's own settings for everything else."""
    settings = get_current_settings().server
    secret = settings.api.auth_string
    guarded = GuardedPrefect(
        create_app(final=True),
        OwnHosts(frozenset(allowed_hosts)),
        auth_string=secret.get_secret_value() if secret else None,
        codes=SignInCodes(sign_in) if sign_in else None,
    )
    uvicorn.run(
        guarded,
        host=host,
        port=port,
        access_log=False,  # addresses hold sign-in codes
        log_level=settings.logging_level.lower(),
        timeout_keep_alive=settings.api.keepalive_timeout,
        ws_ping_interval=settings.api.websocket_ping_interval,
        ws_ping_timeout=settings.api.websocket_ping_timeout,
    )


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="bootpress.adapters.prefect_api.server_main", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--allow-host", action="append", default=[], help="a further Host; may be given again")
    parser.add_argument("--sign-in", type=Path, help="folder of the one-time codes that sign a browser in")
    given = parser.parse_args()
    run_gc_on_thread()
    serve(given.host, given.port, allowed_hosts=given.allow_host, sign_in=given.sign_in)


if __name__ == "__main__":
    main()
