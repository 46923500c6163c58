"""Start what was delivered, after the answer was sent: one thread that asks the relay, again and again.

Nothing is kept here but a wake-up: which deliveries wait is read from the catalog, so a wake-up that is lost, or a
process that dies, loses no delivery.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from bootpress.core.context import Context
from bootpress.core.errors import CatalogUnavailable, OrchestratorUnavailable
from bootpress.core.events import service as events
from bootpress.core.webhooks import attempts

IDLE = 15.0
"""Seconds between looks when nobody calls."""
BUSY = 0.5
"""Seconds between looks while deliveries wait for a place."""
LONGEST_BACKOFF = 8.0
STOPPING = 5.0
"""Seconds that a launch under way gets to end; one that is cut off is an attempt whose lease runs out."""
logger = logging.getLogger(__name__)


class Dispatcher:
    """Launches deliveries and hands events over; `wake` says that there is something to do."""

    def __init__(self, context: Context, *, idle: float = IDLE, busy: float = BUSY) -> None:
        self._context = context
        self._idle = idle
        self._busy = busy
        self._work = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)
        self._troubles: dict[str, str] = {}

    def start(self) -> None:
        """Start the thread; its first look takes up what an earlier process left."""
        self._work.set()
        self._thread.start()

    def wake(self) -> None:
        """Look soon; never blocks, and any number of calls before the next look is one."""
        self._work.set()

    def stop(self) -> None:
        """Let the look that is under way end, for a few seconds, and start no other."""
        self._stopping.set()
        self._work.set()
        self._thread.join(STOPPING)

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            self._work.clear()
            waiting = self._attempted("relay", self._relay)
            emitted = self._attempted("events", self._emit)
            if waiting is None or emitted is None:
                # A wake-up does not shorten this: a burst must not hammer what is down.
                self._stopping.wait(min(self._busy * 2**failures, LONGEST_BACKOFF))
                failures = min(failures + 1, 10)
                continue
            failures = 0
            if emitted < events.EMIT_AT_ONCE:
                self._work.wait(self._busy if waiting else self._idle)

    def _relay(self) -> int:
        return attempts.relay(self._context).waiting

    def _emit(self) -> int:
        return events.emit_pending(self._context)

    def _attempted(self, what: str, step: Callable[[], int]) -> int | None:
        """Take one step; None when it failed, which is logged once until the reason changes."""
        try:
            done = step()
        except (OrchestratorUnavailable, CatalogUnavailable) as error:
            self._note(what, str(error))
            return None
        except Exception as error:
            # The thread outlives any defect: without it nothing would start until a restart.
            if self._troubles.get(what) != repr(error):
                logger.exception("%s failed", what)
                self._troubles[what] = repr(error)
            return None
        if self._troubles.pop(what, None):
            logger.info("%s works again", what)
        return done

    def _note(self, what: str, trouble: str) -> None:
        if self._troubles.get(what) != trouble:
            logger.warning("%s waits: %s", what, trouble)
            self._troubles[what] = trouble
