"""Who has started a run wakes the worker, which takes it at once; where nobody listens, nothing is lost but time."""

from __future__ import annotations

import asyncio
import os
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.launcher import PrefectLauncher
from bootpress.adapters.prefect_api.wakeup import WakeupListener, notify_worker, wakeup_path
from bootpress.core.ports import JobKind
from bootpress.stack.home import Home
from tests.support.prefect_server import PrefectServer
from tests.support.prefect_worker import resident_worker, start, wait_for_state

LONG = 60.0


async def waited(wakeup: WakeupListener, seconds: float) -> float:
    began = time.monotonic()
    await wakeup.wait(seconds)
    return time.monotonic() - began


def test_a_wake_ends_the_wait_and_is_heard_once(tmp_path: Path) -> None:
    async def scene() -> None:
        wakeup = WakeupListener(tmp_path / "wakeup")
        for _ in range(1000):  # more than one read answers, and before anybody waits
            notify_worker(tmp_path / "wakeup")
        assert await waited(wakeup, LONG) < LONG / 2
        assert await waited(wakeup, 0.2) >= 0.2
        await asyncio.to_thread(notify_worker, tmp_path / "wakeup")
        assert await waited(wakeup, LONG) < LONG / 2
        wakeup.close()

    asyncio.run(scene())


def test_waking_where_nobody_listens_does_nothing(tmp_path: Path) -> None:
    notify_worker(tmp_path / "nothing" / "wakeup")
    os.mkfifo(tmp_path / "wakeup")
    notify_worker(tmp_path / "wakeup")


def test_a_wakeup_that_nobody_reads_fills_up_and_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "wakeup")
    listener = os.open(tmp_path / "wakeup", os.O_RDWR | os.O_NONBLOCK)
    try:
        with suppress(BlockingIOError):
            while True:
                os.write(listener, b"\a")
        notify_worker(tmp_path / "wakeup")
    finally:
        os.close(listener)


def test_a_predecessors_wakeup_is_replaced_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "wakeup").write_text("no pipe")

    async def scene() -> None:
        WakeupListener(tmp_path / "wakeup").close()

    asyncio.run(scene())
    found = (tmp_path / "wakeup").stat().st_mode
    assert stat.S_ISFIFO(found)
    assert stat.S_IMODE(found) == 0o600


def test_the_wakeup_lies_where_the_stack_begins_anew_at_each_start(tmp_path: Path) -> None:
    assert wakeup_path(tmp_path).parent == Home(tmp_path).run


@pytest.mark.usefixtures("project")
def test_the_launcher_rings(api: PrefectApi, tmp_path: Path) -> None:
    async def scene() -> None:
        wakeup = WakeupListener(tmp_path / "wakeup")
        launcher = PrefectLauncher(api, wakeup=tmp_path / "wakeup")
        await asyncio.to_thread(launcher.launch, JobKind.BATCH, uuid.uuid4(), key=uuid.uuid4(), run_name="woken")
        assert await waited(wakeup, LONG) < LONG / 2
        wakeup.close()

    asyncio.run(scene())


def test_a_worker_takes_a_run_when_it_is_woken(
    api: PrefectApi, server: PrefectServer, pool: str, tmp_path: Path
) -> None:
    wakeup = tmp_path / "wakeup"
    rarely = {"PREFECT_WORKER_QUERY_SECONDS": str(LONG)}
    with resident_worker(
        server, tmp_path / "worker.log", pool=pool, name="woken", options=["--wakeup", str(wakeup)], environment=rarely
    ):
        for number in range(2):
            run_id = start(api, f"hello/{pool}", path=str(tmp_path / f"lines-{number}"))
            notify_worker(wakeup)
            wait_for_state(api, run_id, "Completed", seconds=LONG / 2)


def test_a_worker_that_cannot_be_woken_polls_without(
    api: PrefectApi, server: PrefectServer, pool: str, tmp_path: Path
) -> None:
    nowhere = ["--wakeup", str(tmp_path / "nothing" / "wakeup")]
    with resident_worker(server, tmp_path / "worker.log", pool=pool, name="unrung", options=nowhere) as worker:
        for number in range(2):
            run_id = start(api, f"hello/{pool}", path=str(tmp_path / f"lines-{number}"))
            wait_for_state(api, run_id, "Completed")
        assert worker.output.count("Nobody can wake this worker") == 1
