"""Removal of directory trees whose shape somebody else chose: a job of a workflow, a push, a program that died.

A tree may be nested deeper than a path can name, forbid its owner to read it, and hold names that are no text, or what
nobody may delete. So the removal is iterative: whatever lies in a subfolder is deleted there, and the folders in it are
moved up beside it. That takes few descriptors and no recursion, however deep the tree is. No symbolic link is followed,
and no mount is crossed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SECONDS: Final = 60.0
MAX_STUCK: Final = 1000
"""Entries that may prove impossible to delete before the others are left too."""
_FOLDER: Final = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: Path, *, seconds: float = SECONDS) -> str | None:
    """Delete a file, or a folder with everything in it, within `seconds`.

    Returns None once nothing is left, also where nothing was; else what is left and why, in one line.
    """
    try:
        with _opened(path.parent) as above:
            return _Removal(above, path.name, time.monotonic() + seconds).run()
    except FileNotFoundError:
        return None
    except OSError as error:
        return _said(path.name, error)


class _Removal:
    """One tree, by its name in an open folder."""

    def __init__(self, above: int, name: str, deadline: float) -> None:
        self._above = above
        self._name = name
        self._deadline = deadline
        self._prefix = f".removed-{secrets.token_hex(8)}-"
        self._moved = 0
        self._stuck: dict[str, str] = {}
        """Names directly in the tree that cannot be deleted, and why."""

    def run(self) -> str | None:
        try:
            os.unlink(self._name, dir_fd=self._above)
        except FileNotFoundError:
            return None
        except OSError as error:  # EISDIR as Linux says it, EPERM as POSIX does
            if not _is_folder(self._name, self._above):
                return _said(self._name, error)
            with _owned(self._name, self._above) as top:
                if (left := self._clear(top)) is not None:
                    return left
            os.rmdir(self._name, dir_fd=self._above)
        return None

    def _clear(self, top: int) -> str | None:
        """Delete what is in the tree, pass by pass, until none finds anything more to delete."""
        mount = _mount_of(top)
        while found := self._pass(top, mount):
            if len(self._stuck) > MAX_STUCK:
                break
            if time.monotonic() > self._deadline:
                return f"{found} entries or more: there was no time for them"
        return next(iter(self._stuck.values()), None)

    def _pass(self, top: int, mount: str) -> int:
        """Look at every entry once; return how many there were that are not known to be stuck."""
        found = 0
        with os.scandir(top) as entries:
            for entry in entries:
                if entry.name in self._stuck:
                    continue
                found += 1
                self._try(entry, top, mount)
                if time.monotonic() > self._deadline or len(self._stuck) > MAX_STUCK:
                    break
        return found

    def _try(self, entry: os.DirEntry[str], top: int, mount: str) -> None:
        name = entry.name
        while time.monotonic() <= self._deadline:  # a nest of folders, without a pass for each
            try:
                inner = self._delete(name, top, mount, is_folder=entry.is_dir(follow_symlinks=False))
            except FileNotFoundError:
                return  # somebody else deletes it too
            except OSError as error:
                self._stuck[name] = _said(name, error)
                return
            if inner is None:
                return
            name = inner

    def _delete(self, name: str, top: int, mount: str, *, is_folder: bool) -> str | None:
        if is_folder:
            return self._flatten(name, top, mount)
        os.unlink(name, dir_fd=top)
        return None

    def _flatten(self, name: str, top: int, mount: str) -> str | None:
        """Delete a folder of the tree, its own folders moved up into the tree; return the last of these."""
        last = None
        with _owned(name, top) as folder:
            if not name.startswith(self._prefix) and _mount_of(folder) != mount:
                self._stuck[name] = f"{name!a}: a file system is mounted there"
                return None
            with os.scandir(folder) as entries:
                for entry in entries:
                    try:
                        last = self._take_out(entry, folder, top) or last
                    except FileNotFoundError:
                        continue
                    except OSError as error:
                        self._stuck[name] = _said(entry.name, error)
                    if time.monotonic() > self._deadline:
                        return None
        if name not in self._stuck:
            os.rmdir(name, dir_fd=top)
        return last

    def _take_out(self, entry: os.DirEntry[str], folder: int, top: int) -> str | None:
        """Delete an entry of a folder, or move it up if it is a folder that is not empty; return its new name."""
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.name, dir_fd=folder)
            return None
        with contextlib.suppress(OSError):
            os.rmdir(entry.name, dir_fd=folder)
            return None
        self._moved += 1
        moved = f"{self._prefix}{self._moved}"
        try:
            os.rename(entry.name, moved, src_dir_fd=folder, dst_dir_fd=top)
        except PermissionError:
            with _owned(entry.name, folder):  # a folder that is moved has its `..` written, which needs its permission
                os.rename(entry.name, moved, src_dir_fd=folder, dst_dir_fd=top)
        return moved


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _owned(name: str, above: int) -> Iterator[int]:
    """Open a folder by its name in another, with every permission for its owner."""
    handle = os.open(name, os.O_PATH | _FOLDER, dir_fd=above)
    try:
        there = f"/proc/self/fd/{handle}"
        if stat.S_IMODE(os.fstat(handle).st_mode) & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(there, stat.S_IRWXU)  # noqa: PTH101 - the folder that was opened, whatever its name is by now
        descriptor = os.open(there, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(handle)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_folder(name: str, above: int) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)


def _mount_of(descriptor: int) -> str:
    """Return which mount an open folder is on; the device does not tell a bind mount."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    return next(line for line in lines if line.startswith("mnt_id:"))


def _said(name: str, error: OSError) -> str:
    return f"{name[:100]!a}: {error.strerror}"
