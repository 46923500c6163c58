"""Prefect's command line, with a garbage collector that cannot stop its server.

    python -m bootpress.adapters.orchestrator.server server start --host 127.0.0.1 --port 4200

On SQLite Prefect 3.8.8 stands still for up to a minute under a handful of runs at once: the collector runs on the
thread of the event loop, finalizes a statement of a connection whose own thread waits for the write lock, and so waits
for that thread, which holds SQLite's mutex for as long as it waits (`busy_timeout`, 60 s). The holder of the lock
cannot commit, since its commit needs the event loop. Here a thread of its own collects: it may wait.
"""

from __future__ import annotations

import gc
import threading
import time
from typing import Final

from prefect.cli import app

YOUNG_SECONDS: Final = 1.0
YOUNG_ROUNDS: Final = 60
"""Rounds over the young generations before each full one, which stops the server for tens of milliseconds."""


def collect_on_a_thread() -> None:
    """Take collecting from the threads that allocate, and give it to one of its own."""
    gc.disable()
    threading.Thread(target=_collect, name="collect", daemon=True).start()


def _collect() -> None:
    while True:
        for _ in range(YOUNG_ROUNDS):
            time.sleep(YOUNG_SECONDS)
            gc.collect(1)
        gc.collect()
        gc.freeze()


def main() -> None:
    """Run Prefect's command line."""
    collect_on_a_thread()
    app()


if __name__ == "__main__":
    main()
