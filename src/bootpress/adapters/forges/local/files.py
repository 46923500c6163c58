"""Files that appear whole or not at all, and that nobody else can read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


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
    """Return a file's content, or None if it is not there."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


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
