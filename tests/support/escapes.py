"""Processes that get away from who started them, found again by a word on their command line."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

DAEMON: Final = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.chdir("/")
os.closerange(0, 1024)
if "bare" not in sys.argv:
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", sys.argv[1], sys.argv[1], sys.argv[2], "bare"], {})
while True: time.sleep(1)
"""
"""A daemon as the book has it: twice forked, in a session of its own, without environment and descriptors."""
CHAIN: Final = """
import os, sys, time
os.setsid()
end = time.monotonic() + 120
while time.monotonic() < end:
    if os.fork(): os._exit(0)
"""
"""A process that does nothing but replace itself."""


class Escape:
    """A program that gets away; whatever is left of it at the end of the block is killed."""

    def __init__(self, program: str) -> None:
        self.word = f"escape-{uuid4().hex}"
        self._program = program

    def write(self, folder: Path) -> str:
        """Write the program into a folder; return the shell's words that run it."""
        path = folder / f"{self.word}.py"
        path.write_text(self._program)
        return f'{sys.executable} -I -S -c "$(cat {path})" "$(cat {path})" {self.word}'

    def pids(self) -> list[int]:
        """List the processes that are there of it."""
        return [pid for pid in pids_of(self.word) if pid != os.getpid()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def pids_of(*words: str) -> list[int]:
    """List the processes that have all these words on their command lines; zombies have none."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            line = (folder / "cmdline").read_bytes().split(b"\0")
            if all(word.encode() in line for word in words):
                found.append(int(folder.name))
    return sorted(found)
