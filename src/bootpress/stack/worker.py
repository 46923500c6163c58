"""The home's worker: `python -m bootpress.stack.worker POOL NAME LIMIT READY_FILE GRACE_SECONDS`.

Importing Prefect and the flows takes seconds, so it is done while the Prefect server still starts; the worker begins
when its work pool is there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import NoReturn

from bootpress.adapters.orchestrator.api import PrefectApi
from bootpress.adapters.orchestrator.serve import serve
from bootpress.core.errors import OrchestratorUnavailable

POLL_SECONDS = 0.1


def work(pool: str, name: str, limit: int, *, ready_file: Path, grace_seconds: float) -> NoReturn:
    """Import what the runs need, wait for the pool, serve it."""
    import flows.ingest  # noqa: F401, PLC0415 - the largest of the flows, while the pool is still awaited
    from bootpress.adapters.orchestrator import resident  # noqa: F401, PLC0415 - as above

    api = PrefectApi.from_environment()
    while not _is_there(api, pool):
        time.sleep(POLL_SECONDS)
    api.close()
    serve(pool, name, limit, ready_file=ready_file, grace_seconds=grace_seconds)


def _is_there(api: PrefectApi, pool: str) -> bool:
    try:
        api.get(f"/work_pools/{pool}")
    except OrchestratorUnavailable:  # NotThere is one
        return False
    return True


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], int(sys.argv[3]), ready_file=Path(sys.argv[4]), grace_seconds=float(sys.argv[5]))
