"""What the set-up scripts share: one way to run a program, one way to fail, one place to cache."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path.home() / ".cache" / "bootpress"
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
TAIL = 30
GRACE = 10


class Failed(Exception):
    """Say what could not be done, and what to do about it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def say(text: str, *, end: str = "\n") -> None:
    """Print at once: what follows may take minutes."""
    print(text, end=end, flush=True)


def run(*argv: str | Path, timeout: float, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program without a terminal and return its standard output; `timeout` is in seconds.

    Raises Failed with the last lines it wrote.
    """
    words = [str(word) for word in argv]
    try:
        # A group of its own, so that its children can be ended with it.
        process = subprocess.Popen(
            words,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
    except OSError as error:
        raise Failed(f"`{words[0]}` cannot be run: {error.strerror}") from error
    try:
        output, errors = (stream.decode(errors="replace") for stream in process.communicate(timeout=timeout))
    except subprocess.TimeoutExpired as error:
        _end(process)
        raise Failed(f"`{' '.join(words)}` did not finish within {timeout:g} s") from error
    except KeyboardInterrupt:
        _end(process)
        raise
    if process.returncode:
        tail = (output + errors).strip().splitlines()[-TAIL:]
        raise Failed("\n    ".join([f"`{' '.join(words)}` ended with code {process.returncode}", *tail]))
    return output


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and its children, politely first: a package manager puts its files in order."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or root's
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=GRACE)
            return


def in_ci() -> bool:
    """Tell whether nothing may be missing or skipped."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def works(*argv: str | Path) -> bool:
    """Tell whether a program starts, ends well and does so within seconds."""
    try:
        run(*argv, timeout=20)
    except Failed:
        return False
    return True


def timed(what: str, act: Callable[[], object]) -> None:
    """Print `what`, do it, and print its seconds on the same line."""
    say(f"{what} ...", end="")
    start = time.monotonic()
    try:
        act()
    except Failed:
        say(" failed")
        raise
    say(f" {time.monotonic() - start:.0f} s")


def environment(**changes: str) -> dict[str, str]:
    """Return our environment with `changes`, and without what would point a tool at another project."""
    inherited = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    return inherited | changes


def uv_environment(**changes: str) -> dict[str, str]:
    """Return the environment for uv: it takes the Python it is given, and trusts whom this machine trusts.

    A company's proxy signs with a certificate that only the system's store has; a bare system has no store, and
    there uv's own one must do.
    """
    ours = {"UV_PYTHON_DOWNLOADS": "never"}
    if SYSTEM_CERTIFICATES.is_file():
        ours["UV_SYSTEM_CERTS"] = os.environ.get("UV_SYSTEM_CERTS", "true")
    return environment(**ours, **changes)


def main(act: Callable[[], None]) -> None:
    """Run a script; a failure is one plain message and exit code 1."""
    try:
        act()
    except Failed as failure:
        hint = f"\n  hint: {failure.hint}" if failure.hint else ""
        sys.exit(f"error: {failure}{hint}")
    except KeyboardInterrupt:
        sys.exit(130)
