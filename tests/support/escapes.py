"""Processes that get away from who started them, found again by a word on their command line."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

BEAT_SECONDS: Final = 1.0
DAEMON: Final = """
import os, sys, time
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.chdir("/")
os.closerange(0, 1024)
if "bare" not in sys.argv:
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", sys.argv[1], *sys.argv[1:], "bare"], {})
while True:
    open(sys.argv[3], "w").write(str(time.monotonic_ns()))
    time.sleep(0.05)
"""
"""A daemon: forked twice, in a session of its own, without environment and descriptors."""
CHAIN: Final = """
import os, sys, time
os.setsid()
end = time.monotonic() + 120
while time.monotonic() < end:
    open(sys.argv[3], "w").write(str(time.monotonic_ns()))
    if os.fork(): os._exit(0)
"""
"""A process that does nothing but replace itself."""


class Escape:
    """A program that gets away, and writes a file in a folder as long as it lives.

    Whatever is left of it at the end of the block is killed.
    """

    def __init__(self, program: str, folder: Path) -> None:
        self.word = f"escape-{uuid4().hex}"
        self._path = folder / f"{self.word}.py"
        self._path.write_text(program)
        self._beat = folder / f"{self.word}.beat"

    @property
    def command(self) -> str:
        """Return the shell's words that run it."""
        program = f'"$(cat {self._path})"'
        return f"{sys.executable} -I -S -c {program} {program} {self.word} {self._beat}"

    def has_begun(self) -> bool:
        """Tell whether it has got away, or is about to."""
        return self._beat.exists()

    def is_alive(self) -> bool:
        """Tell whether it lives; what replaces itself all the time is seldom met, so it is known by what it writes."""
        before = self._beat.read_text()
        time.sleep(BEAT_SECONDS)
        return bool(self.pids()) or self._beat.read_text() != before

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
