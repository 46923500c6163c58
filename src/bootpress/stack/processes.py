"""One process of the stack: started so that it cannot outlive us, its output in a log that cannot grow for ever."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bootpress.stack import exec_child

LOG_BYTES: Final = 20_000_000
TAIL_BYTES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Spec:
    """What to run. `environment` is the whole environment, the place for secrets; `words` never holds one."""

    name: str
    words: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    once: bool = False
    """It ends by itself, and is not started again."""
    death_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends it when we die; anything else than SIGKILL only for what cleans up after itself."""


def python(module: str, *words: str) -> tuple[str, ...]:
    """Return the words that run a module of ours; -P keeps the working folder out of the imports."""
    return (sys.executable, "-P", "-m", module, *words)


class Process:
    """A running process in a group of its own, so that Ctrl-C reaches us first. Construct it on the main thread."""

    def __init__(self, spec: Spec, *, log: Path, cwd: Path) -> None:
        self.spec = spec
        self.log = log
        rotate_log(log)
        words = [
            sys.executable,
            "-I",
            "-S",
            exec_child.__file__,
            str(os.getpid()),
            str(int(spec.death_signal)),
            *spec.words,
        ]
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(spec.environment),
                cwd=cwd,
                start_new_session=True,
            )
        self._is_buried = False

    @property
    def pid(self) -> int:
        """Return the process id; once the process has ended, it may be another's."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, None while it runs. What it started ends with it."""
        if not self._is_buried and self._has_ended(os.WNOHANG):
            self._bury()
        return self._popen.returncode

    def terminate(self) -> None:
        """Ask it to end."""
        if self.exit_code is None:
            os.kill(self.pid, signal.SIGTERM)  # Popen's own would wait for it first, and leave its group

    def kill(self) -> None:
        """End it and whatever it started, and wait for it."""
        if not self._is_buried:
            self._kill_group()
            self._has_ended(0)
            self._bury()

    def _has_ended(self, options: int) -> bool:
        """Tell whether it has ended, and leave it a zombie: as long as it is one, its id is nobody else's."""
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | options) is not None

    def _bury(self) -> None:
        """End its group, then give its id back; signals to it would go to strangers from now on."""
        self._kill_group()
        self._popen.wait()
        self._is_buried = True

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def last_words(self) -> str:
        """Return the last line of its log."""
        return tail(self.log, lines=1)


def rotate_log(log: Path, limit: int = LOG_BYTES) -> None:
    """Keep the old content of a log that has grown too large beside it; a writer that appends goes on undisturbed.

    Where the disk has no room for a second copy the content goes: the room is needed more. What a link leads to is
    somebody else's to bound.
    """
    with contextlib.suppress(OSError):
        if not log.is_symlink() and log.stat().st_size > limit:
            _copy_if_there_is_room(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)


def _copy_if_there_is_room(log: Path, old: Path) -> None:
    try:
        shutil.copyfile(log, old)
    except OSError:
        old.unlink(missing_ok=True)


def tail(log: Path, *, lines: int) -> str:
    """Return the last lines of a file that are not blank."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])
