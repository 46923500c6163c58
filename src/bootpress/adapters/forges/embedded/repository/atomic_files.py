"""Files that appear whole or not at all, and that nobody else can read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from bootpress.core.errors import ForgeUnavailable

MAX_BYTES: Final = 1 << 24


def make_folder(path: Path) -> Path:
    """Make a folder, and those above it that are missing, for our user alone."""
    if not path.is_dir():
        if not path.parent.is_dir():
            make_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
    return path


def write(path: Path, content: bytes) -> None:
    """Write a file (mode 0600) in place of the one that is there; a reader, or a crash, finds the old or the new."""
    make_folder(path.parent)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(path: Path) -> bytes | None:
    """Return a file's content, or None if it is not there; ForgeUnavailable as `content` raises it."""
    try:
        return content(path)
    except FileNotFoundError:
        return None


def content(path: Path, *, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file; FileNotFoundError, or ForgeUnavailable for another or a larger one."""
    with open_regular(path) as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise ForgeUnavailable(f"{path} has more than {limit:,} bytes", hint="delete it, or what it belongs to")
    return found


def open_regular(path: Path, *, append: bool = False) -> BinaryIO:
    """Open a regular file to read it, or to append to it, which creates it; a job may have put anything in its place.

    Opening a FIFO would wait for its other end, a link leads anywhere. FileNotFoundError, or ForgeUnavailable.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT if append else os.O_RDONLY
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ForgeUnavailable(f"{path} cannot be opened: {error.strerror}", hint="delete what lies there") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ForgeUnavailable(f"{path} is no regular file", hint="delete what lies there")
    return os.fdopen(descriptor, "ab" if append else "rb")


def names(folder: Path) -> list[str]:
    """List what lies in a folder, without what is only being written; an absent folder is empty."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - names alone
    except FileNotFoundError:
        return []


def try_lock(path: Path) -> int | None:
    """Lock a file that is there and return its descriptor, whose closing unlocks it; None if somebody has it locked.

    The lock belongs to the open file: whoever inherits the descriptor holds it too, and the kernel frees it when the
    last of them ends. None for a file that is gone, too.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def touch(path: Path) -> Path:
    """Make an empty file if there is none."""
    make_folder(path.parent)
    path.touch(mode=0o600)
    return path


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock, waiting for it, while the block lasts."""
    descriptor = os.open(touch(path), os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
