"""Delete what jobs left and could not be deleted at once, in the background, so that no run waits for that."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bootpress.adapters.forges.embedded.execution.runs import Runs
from bootpress.removal import remove_tree

LOOK_SECONDS: Final = 30.0
SLICE_SECONDS: Final = 1.0
"""After which others come first, and it is looked whether to stop."""
FIRST_PAUSE_SECONDS: Final = 60.0
LAST_PAUSE_SECONDS: Final = 24 * 3600.0
"""Bounds of the pause before what cannot be deleted is tried again; it doubles each time."""
logger = logging.getLogger(__name__)


class Clearing:
    """Deletes abandoned folders of runs, on a thread of its own; what cannot be deleted is said once."""

    def __init__(
        self,
        runs: Runs,
        stopping: threading.Event,
        *,
        remove: Callable[[Path], str | None] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runs = runs
        self._stopping = stopping
        self._remove = remove or partial(remove_tree, seconds=SLICE_SECONDS)
        self._monotonic = monotonic
        self._stuck: dict[Path, tuple[float, float]] = {}
        """When each is tried again, and the pause after that."""
        self._thread = threading.Thread(target=self._clear, name="embedded forge clearing", daemon=True)

    def start(self) -> None:
        """Begin; it ends when `stopping` is set."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait so long for its end."""
        self._thread.join(seconds)

    def _clear(self) -> None:
        trouble = ""
        while not self._stopping.is_set():
            is_done = True
            try:
                is_done = self.look()
            except Exception as error:  # noqa: BLE001 - said once, and tried again at the next look
                if trouble != (trouble := f"{type(error).__name__}: {error}"):
                    logger.warning("the embedded forge cannot delete what runs left: %s", trouble)
            if is_done:
                self._stopping.wait(LOOK_SECONDS)

    def look(self) -> bool:
        """Work on each abandoned folder for a moment; tell whether there is nothing more to do now."""
        there = self._runs.abandoned()
        self._stuck = {path: when for path, when in self._stuck.items() if path in there}
        left = [path for path in there if path not in self._stuck or self._monotonic() >= self._stuck[path][0]]
        return not [path for path in left if not self._stopping.is_set() and self._is_going_on(path)]

    def _is_going_on(self, path: Path) -> bool:
        """Delete for a moment; tell whether it is worth while to go on at once."""
        begun = self._monotonic()
        reason = self._remove(path)
        if reason is None:
            return False
        if self._monotonic() - begun >= SLICE_SECONDS:
            return True
        pause = self._stuck[path][1] if path in self._stuck else FIRST_PAUSE_SECONDS
        if path not in self._stuck:
            logger.warning("what a run left in %s cannot be deleted: %s; this is tried again", path, reason)
        self._stuck[path] = self._monotonic() + pause, min(pause * 2, LAST_PAUSE_SECONDS)
        return False
