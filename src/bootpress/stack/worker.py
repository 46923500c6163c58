"""The home's worker: `python -m bootpress.stack.worker POOL NAME LIMIT READY_FILE GRACE_SECONDS`.

Importing Prefect and the flows takes seconds, so it is done while the Prefect server still starts; the worker begins
when its work pool is there, and the database has the tables that its runs know.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NoReturn

from sqlalchemy.exc import DBAPIError

from bootpress import schema
from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.wakeup import wakeup_path
from bootpress.adapters.prefect_api.worker_main import serve
from bootpress.core.database import Database
from bootpress.core.errors import CatalogUnavailable, OrchestratorUnavailable
from bootpress.settings import Settings

POLL_SECONDS = 0.1
MIGRATION_SECONDS = 0.5


def work(pool: str, name: str, limit: int, *, ready_file: Path, grace_seconds: float) -> NoReturn:
    """Import what the runs need, wait for the pool and for the database, serve the pool."""
    import flows.ingest  # noqa: F401, PLC0415 - the largest of the flows, while the pool is still awaited
    from bootpress.adapters.prefect_api import resident  # noqa: F401, PLC0415 - as above

    settings = Settings()
    api = PrefectApi.from_environment()
    while not _is_there(api, pool):
        time.sleep(POLL_SECONDS)
    api.close()
    _wait_for_migrations(Database(settings.catalog_url))
    wakeup = wakeup_path(settings.home)
    serve(pool, name, limit, ready_file=ready_file, grace_seconds=grace_seconds, wakeup=wakeup)


def _wait_for_migrations(catalog: Database) -> None:
    """Wait for the version of this code: after an upgrade the pool is there already, with runs that waited."""
    if not _is_current(catalog):
        print("waiting for the database to be migrated", flush=True)  # noqa: T201 - its log
    while not _is_current(catalog):
        time.sleep(MIGRATION_SECONDS)
    catalog.close()


def _is_current(catalog: Database) -> bool:
    try:
        return schema.is_current(catalog)
    except (CatalogUnavailable, DBAPIError):
        return False


def _is_there(api: PrefectApi, pool: str) -> bool:
    try:
        api.get(f"/work_pools/{pool}")
    except OrchestratorUnavailable:  # NotThere is one
        return False
    return True


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]), ready_file=Path(sys.argv[4]), grace_seconds=float(sys.argv[5]))
