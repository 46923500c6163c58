"""How processes of one home wake the worker: whoever has started a run says so, and the worker polls at once.

A named pipe, so that nothing listens on the network. Whether anybody hears it decides nothing: the worker polls by
itself too, only later. To poll often instead costs: at ten a second, Prefect takes a quarter of a core for nothing.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

READ_BYTES: Final = 65_536
"""A pipe holds no more: one read answers all who woke us."""


def wakeup_path(home: Path) -> Path:
    """Return where the worker of a home is woken; the folder is that of one start of the stack."""
    return home / "run" / "worker.wakeup"


def notify_worker(path: Path) -> None:
    """Have the worker poll now; never blocks, and nobody there is nobody woken."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(descriptor, b"\a")
        finally:
            os.close(descriptor)


class WakeupListener:
    """The end that listens. Construct it on the event loop that waits for it; OSError where no pipe can be."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        # For writing too, or the pipe would be at its end as soon as the first writer has gone.
        self._descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._loop.add_reader(self._descriptor, self._hear)

    async def wait(self, seconds: float) -> None:
        """Return when somebody wakes us, or has done so since the last wait, but no later than after `seconds`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        self._woken.clear()

    def close(self) -> None:
        """Stop listening."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._descriptor, READ_BYTES)
        self._woken.set()
