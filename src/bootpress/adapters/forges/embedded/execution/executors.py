"""Where the scripts of a job are executed: on this machine, or (see `containers`) in a container on it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

GRACE_SECONDS: Final = 5.0
"""What a script gets to end by itself when it is to end."""


class RunningProcess(Protocol):
    """A script that was started."""

    def wait(self, seconds: float) -> int | None:
        """Wait so long for its end; return its exit code (of a signal: minus its number), or None."""

    def end(self, *, at_once: bool) -> int:
        """End it with what it started, gently at first unless it is to end at once; return its exit code."""


class Executor(Protocol):
    """Starts scripts."""

    @property
    def host(self) -> Mapping[str, str]:
        """Return what scripts get of the environment there."""

    def start(self, words: Sequence[str], *, folder: Path, env: Mapping[str, str]) -> RunningProcess:
        """Start a program; OSError or ValueError, or an error of ours, if it cannot be."""

    def close(self) -> None:
        """Be done."""


class HostExecutor:
    """Starts scripts as processes of their own group; what they print goes to the descriptor `output`."""

    def __init__(self, host: Mapping[str, str], output: int) -> None:
        self.host = host
        self._output = output

    def start(self, words: Sequence[str], *, folder: Path, env: Mapping[str, str]) -> RunningProcess:
        """Start a program."""
        return _Process(
            subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=env,
                start_new_session=True,
            )
        )

    def close(self) -> None:
        """Do nothing: what scripts leave behind is ended by its mark."""


class _Process:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def wait(self, seconds: float) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def end(self, *, at_once: bool) -> int:
        if not at_once:
            os.killpg(self._process.pid, signal.SIGTERM)
            if (code := self.wait(GRACE_SECONDS)) is not None:
                return code
        os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait()
