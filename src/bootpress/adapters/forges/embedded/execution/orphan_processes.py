"""Processes that a run started and that its reaper did not end: what a container has of it, and what outlived a reaper.

They are found by a variable in their environment, and by the record that the reaper kept.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bootpress.adapters.forges.embedded.execution import reaper
from bootpress.adapters.forges.embedded.repository import atomic_files
from bootpress.core.errors import ForgeUnavailable

VARIABLE: Final = "RUNNER_TRACKING_ID"
TRIES: Final = 100
PAUSE_SECONDS: Final = 0.02
MAX_RECORD: Final = 1 << 18
DESCENDANTS_SECONDS: Final = 2.0


def kill_all(mark: str) -> bool:
    """Kill every process of ours whose mark begins so, and what they start meanwhile; tell if none is left.

    A mark is the path of a job's folder with a slash at its end, so that a run's path marks all of its jobs.
    """
    for _ in range(TRIES):
        found = list(_with(mark))
        if not found:
            return True
        for pid in found:
            _send(pid, signal.SIGKILL)
        time.sleep(PAUSE_SECONDS)
    return False


def end_recorded(record: Path) -> bool:
    """Kill the processes of a reaper's record that still are there, with their descendants; tell if none is left.

    They are stopped first, so that none starts another while it is looked for them.
    """
    found: set[int] = set()
    for _ in range(TRIES):
        there = {pid for pid, start in _recorded(record) if _is(pid, start)}
        new = _with_descendants(there) - found
        for pid in new:
            _send(pid, signal.SIGSTOP)
        found |= new
        if new:
            continue
        for pid in found:
            _send(pid, signal.SIGKILL)
        if not there:
            return True
        time.sleep(PAUSE_SECONDS)
    return False


def end_descendants(subreaper: int) -> bool:
    """Stop a subreaper and kill its descendants until it has none; tell whether none is left.

    While it lives, stopped or not, every orphan below it becomes its child: so this comes before it is killed itself.
    None is left once all its children have ended and two looks show the same ones.
    """
    _send(subreaper, signal.SIGSTOP)
    deadline = time.monotonic() + DESCENDANTS_SECONDS
    ended: set[int] = set()
    while time.monotonic() < deadline:
        children = set(reaper.children(subreaper))
        if children == ended:
            return True
        living = _with_descendants({pid for pid in children - ended if _is_alive(pid)})
        for pid in living:
            _send(pid, signal.SIGKILL)
        ended = children - living
    return False


def _recorded(record: Path) -> Iterator[tuple[int, str]]:
    """Yield the ids and starts of a record of this boot; what is no line of one is passed over."""
    try:
        with atomic_files.open_regular(record) as file:
            boot, *lines = file.read(MAX_RECORD).decode().splitlines() or [""]
    except (FileNotFoundError, ForgeUnavailable, ValueError):
        return
    for line in lines if boot == reaper.boot_id() else ():
        pid, _, start = line.partition(" ")
        if pid.isascii() and pid.isdecimal() and int(pid) not in {0, 1, os.getpid()}:
            yield int(pid), start


def _is(pid: int, start: str) -> bool:
    with contextlib.suppress(OSError):
        return reaper.started_at(pid) == start and _is_alive(pid)
    return False


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return reaper.stat_of(pid)[0] not in reaper.ENDED
    return False


def _with_descendants(pids: set[int]) -> set[int]:
    found, left = set(pids), list(pids)
    while left:
        with contextlib.suppress(OSError):
            new = {pid for pid in reaper.children(left.pop()) if pid not in found and _is_alive(pid)} - {os.getpid()}
            found |= new
            left += new
    return found


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def terminate_all(mark: str) -> None:
    """Tell every process of ours whose mark begins so to end."""
    for pid in _with(mark):
        _send(pid, signal.SIGTERM)


def _with(mark: str) -> Iterator[int]:
    wanted = f"{VARIABLE}={mark}".encode()
    ours = os.getpid()
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name)
            environment = (folder / "environ").read_bytes().split(b"\0") if pid != ours else []
            if any(variable.startswith(wanted) for variable in environment):
                yield pid
