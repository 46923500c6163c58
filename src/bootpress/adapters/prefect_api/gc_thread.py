"""Collect garbage on a thread of its own.

Where threads share an SQLite file, Python's collector can stop a process for as long as SQLite waits for a lock
(`busy_timeout`, in Prefect's server 60 s): it runs on whichever thread allocates, finalizes a statement of another
thread's connection, and so waits for that thread, which holds the connection's mutex while it waits for the write
lock. If the collecting thread itself is what the lock's holder needs (the event loop, or the holder), nobody moves.
"""

from __future__ import annotations

import gc
import threading
import time
from typing import Final

YOUNG_SECONDS: Final = 1.0
YOUNG_ROUNDS: Final = 60
"""Rounds over the young generations before each full one, which takes tens of milliseconds."""


def run_gc_on_thread() -> None:
    """Take collecting from the threads that allocate, and give it to one that may wait."""
    gc.disable()
    threading.Thread(target=_collect, name="collect", daemon=True).start()


def _collect() -> None:
    is_frozen = False
    while True:
        for _ in range(YOUNG_ROUNDS):
            time.sleep(YOUNG_SECONDS)
            gc.collect(1)
        gc.collect()
        if not is_frozen:
            gc.freeze()  # modules, classes, schemas: they stay, and need not be looked at again
            is_frozen = True
