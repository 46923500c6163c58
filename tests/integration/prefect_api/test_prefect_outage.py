"""What a worker does while Prefect is away, and when it is back."""

from __future__ import annotations

from pathlib import Path

from bootpress.adapters.prefect_api.api import PrefectApi
from tests.support.prefect_server import PrefectServer
from tests.support.prefect_worker import resident_worker, start, wait_for_state, words
from tests.support.processes import wait_for


def test_a_worker_outlives_a_restart_of_prefect_and_reports_what_ended_meanwhile(
    api: PrefectApi, server: PrefectServer, pool: str, tmp_path: Path
) -> None:
    lines = tmp_path / "lines"
    with resident_worker(server, tmp_path / "worker.log", pool=pool, name=pool) as worker:
        run_id = start(api, f"sleeping/{pool}", path=str(lines), seconds=2)
        wait_for(lambda: words(lines) == ["asleep"], what="the run is under way")

        server.stop()
        wait_for(lambda: words(lines) == ["asleep", "awake"], what="the run has ended")
        server.start()

        wait_for_state(api, run_id, "Completed", seconds=60)
        wait_for_state(api, start(api, f"hello/{pool}", path=str(tmp_path / "later")), "Completed", seconds=60)
        assert worker.exit_code is None
