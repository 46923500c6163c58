"""Who has started a run rings, and the worker takes it at once; where nobody listens, nothing is lost but time."""

from __future__ import annotations

import asyncio
import os
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from bootpress.adapters.orchestrator.api import PrefectApi
from bootpress.adapters.orchestrator.bell import Bell, bell_of, ring
from bootpress.adapters.orchestrator.launcher import PrefectLauncher
from bootpress.stack.home import Home
from tests.support.prefect_server import PrefectServer
from tests.support.prefect_worker import resident_worker, start, wait_for_state

LONG = 60.0


async def waited(bell: Bell, seconds: float) -> float:
    began = time.monotonic()
    await bell.wait(seconds)
    return time.monotonic() - began


def test_a_ring_ends_the_wait_and_is_heard_once(tmp_path: Path) -> None:
    async def scene() -> None:
        bell = Bell(tmp_path / "bell")
        for _ in range(1000):  # more than one read answers, and before anybody waits
            ring(tmp_path / "bell")
        assert await waited(bell, LONG) < LONG / 2
        assert await waited(bell, 0.2) >= 0.2
        await asyncio.to_thread(ring, tmp_path / "bell")
        assert await waited(bell, LONG) < LONG / 2
        bell.close()

    asyncio.run(scene())


def test_ringing_where_nobody_listens_does_nothing(tmp_path: Path) -> None:
    ring(tmp_path / "nothing" / "bell")
    os.mkfifo(tmp_path / "bell")
    ring(tmp_path / "bell")


def test_a_bell_that_nobody_answers_fills_up_and_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bell")
    listener = os.open(tmp_path / "bell", os.O_RDWR | os.O_NONBLOCK)
    try:
        with suppress(BlockingIOError):
            while True:
                os.write(listener, b"\a")
        ring(tmp_path / "bell")
    finally:
        os.close(listener)


def test_a_predecessors_bell_is_replaced_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "bell").write_text("no pipe")

    async def scene() -> None:
        Bell(tmp_path / "bell").close()

    asyncio.run(scene())
    found = (tmp_path / "bell").stat().st_mode
    assert stat.S_ISFIFO(found)
    assert stat.S_IMODE(found) == 0o600


def test_the_bell_lies_where_the_stack_begins_anew_at_each_start(tmp_path: Path) -> None:
    assert bell_of(tmp_path).parent == Home(tmp_path).run


@pytest.mark.usefixtures("project")
def test_the_launcher_rings(api: PrefectApi, tmp_path: Path) -> None:
    async def scene() -> None:
        bell = Bell(tmp_path / "bell")
        launcher = PrefectLauncher(api, bell=tmp_path / "bell")
        await asyncio.to_thread(launcher.launch_batch, uuid.uuid4(), run_name="rung")
        assert await waited(bell, LONG) < LONG / 2
        bell.close()

    asyncio.run(scene())


def test_a_worker_takes_a_run_when_the_bell_rings(
    api: PrefectApi, server: PrefectServer, pool: str, tmp_path: Path
) -> None:
    bell = tmp_path / "bell"
    rarely = {"PREFECT_WORKER_QUERY_SECONDS": str(LONG)}
    with resident_worker(
        server, tmp_path / "worker.log", pool=pool, name="rung", options=["--bell", str(bell)], environment=rarely
    ):
        for number in range(2):
            run_id = start(api, f"hello/{pool}", path=str(tmp_path / f"lines-{number}"))
            ring(bell)
            wait_for_state(api, run_id, "Completed", seconds=LONG / 2)


def test_a_worker_that_cannot_have_a_bell_polls_without(
    api: PrefectApi, server: PrefectServer, pool: str, tmp_path: Path
) -> None:
    nowhere = ["--bell", str(tmp_path / "nothing" / "bell")]
    with resident_worker(server, tmp_path / "worker.log", pool=pool, name="unrung", options=nowhere) as worker:
        for number in range(2):
            run_id = start(api, f"hello/{pool}", path=str(tmp_path / f"lines-{number}"))
            wait_for_state(api, run_id, "Completed")
        assert worker.output.count("There is no bell") == 1
