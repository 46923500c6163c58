"""Processes that a run started: found by a variable in their environment, whatever they did to get away from it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

VARIABLE: Final = "RUNNER_TRACKING_ID"
TRIES: Final = 100
PAUSE_SECONDS: Final = 0.02


def end_all(mark: str) -> bool:
    """Kill every process of ours whose mark begins so, and what they start meanwhile; tell if none is left.

    A mark is the path of a job's folder with a slash at its end, so that a run's path marks all of its jobs.
    """
    for _ in range(TRIES):
        found = list(_with(mark))
        if not found:
            return True
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(PAUSE_SECONDS)
    return False


def ask_to_end(mark: str) -> None:
    """Tell every process of ours whose mark begins so to end."""
    for pid in _with(mark):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGTERM)


def _with(mark: str) -> Iterator[int]:
    wanted = f"{VARIABLE}={mark}".encode()
    ours = os.getpid()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name)
            environment = (folder / "environ").read_bytes().split(b"\0") if pid != ours else []
            if any(variable.startswith(wanted) for variable in environment):
                yield pid
