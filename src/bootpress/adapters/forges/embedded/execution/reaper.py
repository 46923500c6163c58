"""Run a program as the child subreaper of all that it starts: `python -I -S reaper.py RECORD PROGRAM [WORD…]`.

A process whose parent ends becomes the child of its nearest subreaper (Linux, prctl(2)), whatever it did to its
session, environment and descriptors. So nothing that a program starts gets away from its reaper: once the program has
ended, or was killed, the reaper kills its own children until it has none.

For the case that program and reaper are killed at once, the file RECORD names the reaper and what descends from it: the
id of the boot, then a line for each with its id and the moment of its start (field 22 of proc_pid_stat(5)), by which it
is told from a later one with the same id. See `leftovers`.

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
ENDED = {"Z", "X"}
"""States of processes that only wait to be reaped; a stopped parent may have as many as there are ids."""
STARTED = 19
SIGNALS = {signal.SIGCHLD, signal.SIGTERM}
SECONDS = 10.0
FIRST_SECONDS = 0.5
"""Who comes later, and is a child of ours all the same, has replaced another."""
SECONDS_WITHOUT_OWNER = 5.0
RECORD_SECONDS = 0.25
MAX_RECORDED = 4096
MAX_KILLED = 256
"""Children that are killed at most passes: those of a long list have ended, but for a few, and wait to be reaped."""
PASSES_TO_ALL = 8
MAX_REAPED = 1024
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
    began, passes = time.monotonic(), 0
    first: set[int] = set()
    while reap():
        took = time.monotonic() - began
        latest_first = children("self")[::-1]  # who replaces himself comes last
        for pid in latest_first[: None if passes % PASSES_TO_ALL == PASSES_TO_ALL - 1 else MAX_KILLED]:
            if took < FIRST_SECONDS:
                first.add(pid)
            elif pid not in first:
                set_aside(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if took > seconds:
            return False
        passes += 1
        if passes > PASSES_WITHOUT_PAUSE:
            time.sleep(PAUSE_SECONDS)
    return True


def set_aside(pid: int) -> None:
    """Let a process, and what it starts, run only where nobody else wants to.

    A crowd of processes that replace themselves would else have most of the processor, and be replaced faster than it
    is killed. What was there from the beginning is not set aside: it has to run to end.
    """
    with contextlib.suppress(OSError):
        os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))


def reap() -> bool:
    """Forget children that have ended; tell whether there may be others.

    Not more than MAX_REAPED: while some replace themselves, there is always another one.
    """
    try:
        for _ in range(MAX_REAPED):
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                break
    except ChildProcessError:
        return False
    return True


def children(parent: int | str) -> list[int]:
    """List the children of every thread of a process, or of `self`; OSError if that has ended."""
    found: list[int] = []
    for thread in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208 - pathlib would double what this costs to start
        try:
            found += map(int, _read(f"/proc/{parent}/task/{thread}/children").split())
        except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN; or a thread that has ended
            return children_by_parent(os.getpid() if parent == "self" else int(parent))
    return found


def children_by_parent(parent: int) -> list[int]:
    """List the children of a process by what every process says of its parent."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - as above
        with contextlib.suppress(OSError, ValueError):
            if int(stat_of(int(name))[1]) == parent:
                found.append(int(name))
    return found


def stat_of(pid: int) -> list[str]:
    """Return what the kernel says of a process after its name, field 3 first; OSError if there is none."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def started_at(pid: int) -> str:
    """Return when a process was started, in ticks since the boot; OSError if there is none."""
    return stat_of(pid)[STARTED]


def boot_id() -> str:
    """Return what is another at every boot."""
    return _read("/proc/sys/kernel/random/boot_id").strip()


def descendants() -> dict[int, str]:
    """Return us and the processes that descend from us, with the moments of their starts, in bounds."""
    found = {os.getpid(): started_at(os.getpid())}
    left = children("self")
    while left and len(found) < MAX_RECORDED:
        pid = left.pop()
        with contextlib.suppress(OSError):
            stat = stat_of(pid)
            if stat[0] not in ENDED:
                found[pid] = stat[STARTED]
                left += children(pid)
    return found


def _read(path: str) -> str:
    with open(path) as file:  # noqa: PTH123 - as above
        return file.read()


def _write(path: str, processes: dict[int, str]) -> None:
    """Replace the record; without room for a new one the last stays."""
    lines = [boot_id(), *(f"{pid} {start}" for pid, start in processes.items())]
    new = f"{path}.{os.urandom(8).hex()}"  # a name that a job could foretell may be a FIFO, which would stop us
    with contextlib.suppress(OSError):
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w") as file:  # noqa: PTH123 - as above
                file.write("\n".join(lines) + "\n")
            os.replace(new, path)  # noqa: PTH105 - as above
        except OSError:
            os.unlink(new)  # noqa: PTH108 - as above


def main() -> None:
    """Start the program, wait for its end or for SIGTERM, and end whatever is left."""
    record, *words = sys.argv[1:]
    owner = os.getppid()
    become_subreaper()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    program = os.fork()
    if program == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.execv(words[0], words)  # noqa: S606 - the program is the keeper's own
    code = _wait_for(program, record, owner)
    if end_children():
        with contextlib.suppress(OSError):  # gone, or a job has put a folder in its place
            os.unlink(record)  # noqa: PTH108 - as above
    sys.exit(code)


def _wait_for(program: int, record: str, owner: int) -> int:
    """Return the program's exit code, or 1 once we are told to end or our owner is gone; keep the record meanwhile."""
    recorded: dict[int, str] = {}
    deadline = float("inf")
    next_look = time.monotonic()
    while True:
        told = signal.sigtimedwait(SIGNALS, max(0.0, next_look - time.monotonic()))
        if told is not None and told.si_signo == signal.SIGTERM:
            return 1
        for _ in range(MAX_REAPED):
            ended = os.waitpid(-1, os.WNOHANG)  # an orphan, or the program
            if ended[0] == program:
                return abs(os.waitstatus_to_exitcode(ended[1]))
            if ended[0] == 0:
                break
        if time.monotonic() >= next_look:
            next_look = time.monotonic() + RECORD_SECONDS
            if os.getppid() != owner:  # the program sees that too, unless a job has stopped it
                deadline = min(deadline, time.monotonic() + SECONDS_WITHOUT_OWNER)
            if time.monotonic() > deadline:
                return 1
            if (found := descendants()) != recorded:
                _write(record, found)
                recorded = found


if __name__ == "__main__":
    main()
