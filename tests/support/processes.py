"""Programs that tests start, and that never outlive them.

    with Program([registry, "serve", config], log=tmp_path / "registry.log") as program:
        program.wait_until(lambda: answers(port), what="the registry answers")

A program has a process group of its own, so Ctrl-C reaches the tests first and stopping reaches its children; if the
tests are killed, the kernel kills it.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

LOG_TAIL = 4_000


class Program:
    """One running program; its output goes to the file `log`.

    `user` runs it as another user (only root can); `env` replaces the environment. Start it on the main thread: the
    kernel ends it with the thread that started it.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
    ) -> None:
        self.argv = [str(word) for word in argv]
        self.log = log
        words = [*_dies_with_us(user), *self.argv]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._process.poll()

    @property
    def output(self) -> str:
        """Return what it has written so far."""
        return self.log.read_text(errors="replace")

    def wait_until(self, condition: Callable[[], bool], *, what: str, seconds: float = 60) -> None:
        """Wait for a condition; fail with the program's last words if it ends or `seconds` pass first."""

        def holds() -> bool:
            if self.exit_code is not None and not condition():
                raise AssertionError(f"{self.argv[0]} ended with {self.exit_code} before {what}:\n{self._tail()}")
            return condition()

        try:
            wait_for(holds, what=what, seconds=seconds)
        except TimeoutError as error:
            raise AssertionError(f"{error}:\n{self._tail()}") from error

    def wait(self, seconds: float) -> int:
        """Wait for the end and return the exit code; fail if it does not come in time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"{self.argv[0]} still runs after {seconds:.0f} s:\n{self._tail()}") from error

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program itself, not to its children."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End the program at once, as a crash does; its children are left to themselves."""
        self._process.kill()
        self._process.wait()

    def stop(self, *, seconds: float = 20, how: signal.Signals = signal.SIGTERM) -> None:
        """End it politely, then for sure, with every child that is left in its group."""
        self._process.send_signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _tail(self) -> str:
        return self.output[-LOG_TAIL:]


def _dies_with_us(user: str | None) -> list[str]:
    """Return the prefix that has the kernel kill the program when we die, and that changes the user."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if user:
            raise RuntimeError("setpriv (util-linux) is needed to run a program as another user")
        return []
    prefix = [setpriv, "--pdeathsig", "KILL"]
    if user:
        # After the change of user, which clears the parent-death signal; setpriv sets it last.
        group = str(pwd.getpwnam(user).pw_gid)
        prefix += ["--reuid", user, "--regid", group, "--init-groups"]
    return [*prefix, "--"]


def wait_for(condition: Callable[[], bool], *, what: str, seconds: float = 60) -> None:
    """Wait until a condition holds; TimeoutError says what did not happen."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{seconds:.0f} s passed before {what}")
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and that nobody has waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in {"Z", "X"}


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether something accepts connections on a port of this machine."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
