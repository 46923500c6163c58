"""The log of a job: what its processes print, with secrets masked, in bounds."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bootpress.adapters.forges.embedded.execution.runs import timestamped
from bootpress.adapters.forges.embedded.repository import atomic_files

MASK: Final = b"***"
MAX_LINE: Final = 1 << 16
MIN_LINE: Final = 3
"""Shorter lines of a secret of several lines, such as `}`, are in every log."""
PIECE: Final = 1 << 16
_ADD_MASK: Final = b"::add-mask::"


class SecretMasker:
    """What must not be seen in a log."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._hidden: list[bytes] = []
        for secret in secrets:
            self.add(secret)

    @property
    def longest(self) -> int:
        """Return the length of the longest of them."""
        return len(self._hidden[0]) if self._hidden else 0

    def add(self, secret: str) -> None:
        """Hide a secret from now on; one of several lines is hidden line by line, as it is printed."""
        lines = [line.strip() for line in secret.splitlines()]
        found = {line.encode() for line in lines if len(line) >= (MIN_LINE if len(lines) > 1 else 1)}
        self._hidden = sorted({*self._hidden, *found}, key=len, reverse=True)  # a long one may contain a short one

    def hide(self, data: bytes) -> bytes:
        """Return the bytes with every secret masked."""
        for secret in self._hidden:
            data = data.replace(secret, MASK)
        return data


class JobLog:
    """Takes what is printed through a pipe, on a thread of its own; `output` is for the job's processes.

    The pipe is also to be found at the path `pipe`.
    """

    def __init__(self, path: Path, masks: SecretMasker, *, limit: int, pipe: Path) -> None:
        atomic_files.make_folder(path.parent)
        with atomic_files.open_regular(path, append=True) as file:
            self._file = os.dup(file.fileno())
        self._masks = masks
        self._limit = limit
        self._left = limit
        os.mkfifo(pipe, 0o600)
        self._reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # it would wait for a writer
        self.output = os.open(pipe, os.O_WRONLY | os.O_CLOEXEC)
        os.set_blocking(self._reading, True)
        self._thread = threading.Thread(target=self._copy, name="job log", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """Add lines of our own, after everything that was printed before."""
        data = text.encode(errors="replace") + b"\n"
        while data:
            data = data[os.write(self.output, data) :]

    def close(self, *, seconds: float = 10.0) -> None:
        """Write what is still in the pipe; whoever holds its other end open gets so long to let go of it."""
        os.close(self.output)
        self._thread.join(seconds)

    def _copy(self) -> None:
        held = b""
        while piece := os.read(self._reading, PIECE):
            held = self._take(held + piece)
        if held:
            self._write([held])
        os.close(self._reading)
        os.close(self._file)

    def _take(self, data: bytes) -> bytes:
        """Write what is whole, return what is not: part of a line, whose end may be half a secret."""
        *lines, rest = data.split(b"\n")
        self._write(lines)
        if len(rest) > MAX_LINE + self._masks.longest:
            rest = self._masks.hide(rest)
        while len(rest) > MAX_LINE + self._masks.longest:
            self._write([rest[:MAX_LINE]])
            rest = rest[MAX_LINE:]
        return rest

    def _write(self, lines: Iterable[bytes]) -> None:
        if self._left <= 0:
            return  # read on, though: a job whose output nobody takes would stand still
        stamp, written = timestamped(b"").rstrip(b"\n"), []
        for line in lines:
            written.append(stamp + self._hide(line.rstrip(b"\r")) + b"\n")
            self._left -= len(written[-1])
            if self._left <= 0:
                written[-1] = stamp + f"the log is cut here, at {self._limit:,} bytes\n".encode()
                break
        data = b"".join(written)
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:  # no room: the job goes on, and what it did counts
            self._left = 0

    def _hide(self, line: bytes) -> bytes:
        if line.startswith(_ADD_MASK):
            self._masks.add(line.removeprefix(_ADD_MASK).decode(errors="replace"))
            return _ADD_MASK + MASK
        return self._masks.hide(line)
