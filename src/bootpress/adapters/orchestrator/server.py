"""Prefect's command line, with a garbage collector that cannot stop its server.

    python -m bootpress.adapters.orchestrator.server server start --host 127.0.0.1 --port 4200

Measured on Prefect 3.8.8 with SQLite: eight runs at once made the server stand still for thirty to sixty seconds, in
every other trial; this way they are done in three.
"""

from __future__ import annotations

from prefect.cli import app

from bootpress.adapters.orchestrator.collecting import collect_on_a_thread


def main() -> None:
    """Run Prefect's command line."""
    collect_on_a_thread()
    app()


if __name__ == "__main__":
    main()
