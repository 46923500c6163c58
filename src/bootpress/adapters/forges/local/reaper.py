"""Run a program as the child subreaper of all that it starts, and end what it leaves: `python -I -S reaper.py PROGRAM`.

A process whose parent ends becomes the child of its nearest subreaper (Linux, prctl(2)), whatever it did to its
session, environment and descriptors. So nothing that a program starts gets away from its reaper: once the program has
ended, or was killed, the reaper kills its own children until it has none.

It runs by its path and imports nothing of ours, so that it costs milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
SECONDS = 10.0
PAUSE_SECONDS = 0.02
PASSES_WITHOUT_PAUSE = 200
"""Against processes that do nothing but replace themselves: a pause would let them live on."""


def become_subreaper() -> None:
    """Have the kernel give us every descendant whose parent ends; OSError if it does not."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"the kernel makes no child subreaper of us: {os.strerror(number)}")


def end_children(*, seconds: float = SECONDS) -> bool:
    """Kill and reap every child, and the orphans that become ours by that, until none is left; tell whether none is.

    No child is another thread's to wait for meanwhile. What a job started as another user (by sudo) stays.
    """
    deadline, passes = time.monotonic() + seconds, 0
    while _reap():
        for pid in children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        passes += 1
        if passes > PASSES_WITHOUT_PAUSE:
            time.sleep(PAUSE_SECONDS)
    return True


def _reap() -> bool:
    """Forget the children that have ended; tell whether there are others."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return False
    return True


def children() -> list[int]:
    """List our children, of every thread of ours."""
    found: list[int] = []
    for thread in os.listdir("/proc/self/task"):  # noqa: PTH208 - pathlib would double what this costs to start
        try:
            with open(f"/proc/self/task/{thread}/children") as file:  # noqa: PTH123 - as above
                found += map(int, file.read().split())
        except FileNotFoundError:
            return _children_by_parent()  # a kernel without CONFIG_PROC_CHILDREN; or a thread that has ended
    return found


def _children_by_parent() -> list[int]:
    found, ours = [], os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208 - as above
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{int(name)}/stat") as file:  # noqa: PTH123 - as above
            if int(file.read().rpartition(")")[2].split()[1]) == ours:
                found.append(int(name))
    return found


def main() -> None:
    """Start the program, wait for its end or for SIGTERM, and end whatever is left."""
    become_subreaper()
    program = os.fork()
    if program == 0:
        os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606 - the program is the keeper's own
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # there is no time to wait for the program
    try:
        pid, status = os.wait()
        while pid != program:  # an orphan
            pid, status = os.wait()
    finally:
        end_children()
    sys.exit(abs(os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main()
