"""The home's worker begins no run before the database is what its code knows."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from bootpress import schema
from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.core.database import Database
from tests.support.prefect_server import prefect_server
from tests.support.processes import Program


def test_the_worker_waits_for_the_migrations(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    ready = tmp_path / "run" / "worker.ready"
    with prefect_server(tmp_path / "prefect") as server:
        with closing(PrefectApi(server.api_url)) as api:
            api.post("/work_pools/", {"name": "bootpress", "type": "resident"})
        url = f"sqlite:///{tmp_path / 'catalog.db'}"
        words = [sys.executable, "-m", "bootpress.stack.worker", "bootpress", "worker-1", "2", str(ready), "1"]
        environment = server.environment | {"BOOTPRESS_DATABASE_URL": url, "BOOTPRESS_HOME": str(tmp_path)}
        with Program(words, log=tmp_path / "worker.log", env=environment) as worker:
            worker.wait_until(lambda: "waiting for the database" in worker.output, what="the worker waits")
            assert not ready.exists()
            with closing(Database(url)) as catalog:
                schema.migrate(catalog)
            worker.wait_until(ready.exists, what="the worker is ready")
