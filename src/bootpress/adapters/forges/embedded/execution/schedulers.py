"""The keepers of all accounts' forges: each runs two workflows at once, and holds up none of another account."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from bootpress.adapters.forges.embedded.execution.scheduler import RunScheduler
from bootpress.adapters.forges.embedded.repository import atomic_files
from bootpress.adapters.forges.embedded.repository.layout import ForgeLayout, account_folder, account_ids

LOOK_SECONDS: Final = 0.2
logger = logging.getLogger(__name__)


class RunSchedulers:
    """While entered, has each forge in a folder kept, also those that come to be; `make` returns what keeps one."""

    def __init__(self, folder: Path, make: Callable[[ForgeLayout], RunScheduler]) -> None:
        self._folder = folder
        self._make = make
        self._keepers: dict[UUID, RunScheduler] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="embedded forges", daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, all of them at once."""
        self._stopping.set()
        self._thread.join()
        for keeper in self._keepers.values():
            keeper.request_stop()
        for keeper in self._keepers.values():
            keeper.stop()

    def _watch(self) -> None:
        trouble = ""
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - said once, and tried again at the next look: no forge may go unkept
                if trouble != (trouble := f"{type(error).__name__}: {error}"):
                    logger.warning("the embedded forges: %s", trouble)

    def _look(self) -> None:
        for account_id in account_ids(atomic_files.names(self._folder)):
            if account_id not in self._keepers:
                keeper = self._make(ForgeLayout(account_folder(self._folder, account_id)))
                keeper.start()
                self._keepers[account_id] = keeper
