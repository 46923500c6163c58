"""Start what was delivered, after the answer was sent: a thread that asks the relay, again and again.

Nothing is kept here but a wake-up: which deliveries wait is read from the catalog, so a wake-up that is lost, or a
process that dies, loses no delivery. Events are handed over by a thread of their own: a listener that is slow or away
holds up no launch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from bootpress.core.context import Context
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.orchestrator_outage import OutageTimer
from bootpress.core.errors import CatalogUnavailable, OrchestratorUnavailable
from bootpress.core.events import service as events

IDLE = 15.0
"""Seconds between looks when nobody calls."""
BUSY = 0.5
"""Seconds between looks while deliveries wait for a place."""
LONGEST_BACKOFF = 8.0
STOPPING = 5.0
"""Seconds that a launch under way gets to end; one that is cut off is an attempt whose lease runs out."""
logger = logging.getLogger(__name__)


class BackgroundLoops:
    """Launches deliveries and hands events over; `wake` says that there is something to do."""

    def __init__(self, context: Context, *, idle: float = IDLE, busy: float = BUSY) -> None:
        self._context = context
        self._outage = OutageTimer(context)
        self._launches = _Loop("relay", self._relay, idle=idle, busy=busy)
        self._loops = (self._launches, _Loop("events", self._emit, idle=idle, busy=0))

    def start(self) -> None:
        """Start the threads; their first look takes up what an earlier process left."""
        for loop in self._loops:
            loop.start()

    def wake(self) -> None:
        """Look soon; never blocks, and any number of calls before the next look is one."""
        for loop in self._loops:
            loop.wake()

    def wake_relay(self) -> None:
        """Look for deliveries soon, as `wake` does; a delivery that came in is no event yet."""
        self._launches.wake()

    def stop(self) -> None:
        """Let the looks that are under way end, for a few seconds, and start no other."""
        for loop in self._loops:
            loop.stop()
        deadline = time.monotonic() + STOPPING
        for loop in self._loops:
            loop.join(max(0.0, deadline - time.monotonic()))

    def _relay(self) -> bool:
        try:
            report = attempts.launch_due(self._context, on_launch=self._outage.reset)
        except OrchestratorUnavailable as error:
            self._outage.record_failure(error)
            raise
        self._outage.reset()
        return report.waiting > 0

    def _emit(self) -> bool:
        return events.emit_pending(self._context) == events.EMIT_AT_ONCE


class _Loop:
    """A thread that takes one step after the other; a step says whether more waits already."""

    def __init__(self, name: str, step: Callable[[], bool], *, idle: float, busy: float) -> None:
        self._name = name
        self._step = step
        self._idle = idle
        self._busy = busy
        self._work = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"dispatcher-{name}", daemon=True)
        self._trouble: str | None = None

    def start(self) -> None:
        self._work.set()
        self._thread.start()

    def wake(self) -> None:
        if not self._work.is_set():  # cheaper than to set it once more, and rings come fast
            self._work.set()

    def stop(self) -> None:
        self._stopping.set()
        self._work.set()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._work.clear()
            more = self._attempted()
            if more is None:
                # A wake-up does not shorten this: a burst must not hammer what is down.
                self._stopping.wait(min(BUSY * 2**failures, LONGEST_BACKOFF))
                failures = min(failures + 1, 10)
                continue
            failures = 0
            self._work.wait(self._busy if more else self._idle)

    def _attempted(self) -> bool | None:
        """Take one step; None when it failed, which is logged once until the reason changes."""
        try:
            more = self._step()
        except (OrchestratorUnavailable, CatalogUnavailable) as error:
            if self._trouble != str(error):
                logger.warning("%s waits: %s", self._name, error)
            self._trouble = str(error)
            return None
        except Exception as error:
            # The thread outlives any defect: without it nothing would start until a restart.
            if self._trouble != repr(error):
                logger.exception("%s failed", self._name)
            self._trouble = repr(error)
            return None
        if self._trouble is not None:
            logger.info("%s works again", self._name)
        self._trouble = None
        return more
