"""Run the resident worker in the foreground: `python -m bootpress.adapters.prefect_api.worker_main POOL NAME LIMIT`.

It prints `worker ready` (and writes its ready file, if it was given one) after its first poll. SIGTERM or SIGINT: no
new runs, a grace for those that run, Crashed for what is left, and out by os._exit: threads that cannot be killed
would keep the process for as long as they like.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import threading
import traceback
from pathlib import Path
from typing import Final, NoReturn

from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker

from bootpress.adapters.prefect_api.gc_thread import run_gc_on_thread
from bootpress.adapters.prefect_api.resident import ResidentWorker

GRACE_SECONDS: Final = 15.0
REPORT_SECONDS: Final = 3.0
STOPPED = "The worker was stopped before the run had ended"


def serve(
    pool: str,
    name: str,
    limit: int,
    *,
    ready_file: Path | None = None,
    grace_seconds: float = GRACE_SECONDS,
    wakeup: Path | None = None,
) -> NoReturn:
    """Run a worker until a signal comes, then end the process; `name` is held by one live process at a time.

    `wakeup` is where others may have it poll at once.
    """
    run_gc_on_thread()
    worker = ResidentWorker(work_pool_name=pool, name=name, limit=limit)
    worker.wakeup_path = wakeup
    try:
        asyncio.run(_work(worker, ready_file, grace_seconds))
    except BaseException:  # noqa: BLE001 - whatever it is, the process ends below, and says why
        traceback.print_exc()
    finally:
        _leave(worker, ready_file, 1)


async def _work(worker: ResidentWorker, ready_file: Path | None, grace_seconds: float) -> None:
    """Work until a signal comes, then leave the process; returns or raises only if the worker ends by itself."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    threading.Thread(target=_announce, args=(worker, ready_file), name="announce", daemon=True).start()
    working = asyncio.create_task(worker.start(printer=lambda *_: None))
    await asyncio.wait({working, asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        working.result()
        raise RuntimeError("the worker stopped by itself")
    worker.is_draining.set()
    await asyncio.to_thread(worker.wait_until_idle, grace_seconds)
    _leave(worker, ready_file, 0)


def _announce(worker: ResidentWorker, ready_file: Path | None) -> None:
    worker.has_polled.wait()
    if ready_file is not None:
        ready_file.write_text(f"{os.getpid()}\n")
    _say("worker ready")


def _leave(worker: ResidentWorker, ready_file: Path | None, code: int) -> NoReturn:
    """Report what is left, and end the process whatever its threads do; takes at most REPORT_SECONDS."""
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)
    report = threading.Thread(target=_report, args=(worker,), name="report", daemon=True)
    report.start()
    report.join(REPORT_SECONDS)
    os._exit(code)


def _report(worker: ResidentWorker) -> None:
    worker.live_runs.crash_rest(STOPPED)
    APILogWorker.drain_all(timeout=1)
    EventsWorker.drain_all(timeout=1)


def _say(line: str) -> None:
    """Print a line for the supervisor."""
    print(line, flush=True)  # noqa: T201 - the process's own output


def main() -> NoReturn:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="bootpress.adapters.prefect_api.worker_main", description=__doc__)
    parser.add_argument("pool")
    parser.add_argument("name")
    parser.add_argument("limit", type=int)
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS)
    parser.add_argument("--wakeup", type=Path)
    given = parser.parse_args()
    serve(
        given.pool,
        given.name,
        given.limit,
        ready_file=given.ready_file,
        grace_seconds=given.grace_seconds,
        wakeup=given.wakeup,
    )


if __name__ == "__main__":
    main()
