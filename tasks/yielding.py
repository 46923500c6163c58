"""Cooperative yielding: batches leave the processor to runs of one delivery, which somebody may be waiting for.

All runs share one interpreter. A batch thread sleeps after each delivery for as long as all batch threads together
would compute meanwhile, so batches take half of the interpreter at most while such a run is under way. Deliveries that
wait for a registry compute little, and so sleep little.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Yielding:
    """Who computes in this process: runs of one delivery, and threads of batches."""

    def __init__(self, *, computed: Callable[[], float] = time.thread_time) -> None:
        self._computed = computed
        """Seconds of processor time that the calling thread has used."""
        self._changed = threading.Condition()
        self._singles = 0
        self._batch_threads = 0

    @contextmanager
    def single(self) -> Iterator[None]:
        """Count a run of one delivery while the block runs."""
        with self._changed:
            self._singles += 1
        try:
            yield
        finally:
            with self._changed:
                self._singles -= 1
                self._changed.notify_all()

    @contextmanager
    def delivery_of_batch(self) -> Iterator[None]:
        """Run a block, then yield while there is a run of one delivery: seconds that grow with what it computed."""
        with self._changed:
            self._batch_threads += 1
        begun = self._computed()
        try:
            yield
        finally:
            with self._changed:
                pause = (self._computed() - begun) * self._batch_threads
                self._changed.wait_for(lambda: self._singles == 0, timeout=pause)
                self._batch_threads -= 1


of_runs = Yielding()
"""Of this process."""
