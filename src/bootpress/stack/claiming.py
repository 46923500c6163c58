"""Which folder is a home, and which may become one: decided before anything in it is written, changed or deleted.

A home carries a marker, a file of one name. `up` empties `run` and `tmp` in a home and closes it to other users, so a
folder that somebody else fills is refused by name. A home of a version without markers is known by its other files.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cryptography.fernet import Fernet

from bootpress.core.errors import InvalidInput

MARKER: Final = "bootpress-home.json"
VERSION: Final = 1
EMPTIED: Final = ("run", "tmp")
"""Folders of a home whose content goes at each start."""
_HINT: Final = "choose a new or an empty folder with --home, or set BOOTPRESS_HOME to one"
_OURS: Final = frozenset(
    {
        *("up.lock", "ports.json", "worker.name", "endpoints.json", "encryption.key", "admin.token"),
        *("bootpress.db", "bootpress.db-wal", "bootpress.db-shm", "registry.container"),
        *("logs", "run", "prefect", "registry", "tmp", "cache", "data", "forge", "tools"),
    }
)
_NAMED: Final = 3
_SQLITE: Final = b"SQLite format 3\0"
_MOST: Final = 4096
"""Bytes that are read of a file to tell what it is."""


class Standing(StrEnum):
    """What a folder is that may be a home."""

    ABSENT = "absent"
    EMPTY = "empty"
    HOME = "home"
    UNMARKED = "unmarked"
    """A home of a version that wrote no marker."""


def judge(folder: Path) -> Standing:
    """Return what a folder is, and change nothing; InvalidInput, which names it, where it is and can become no home."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        _refuse_of_the_user(folder)
        return Standing.ABSENT
    except OSError as error:
        raise InvalidInput(f"the home {folder} cannot be made: {error.strerror}", hint=_HINT) from error
    _refuse_of_the_user(folder)
    _refuse_unusable(folder, found)
    names = {entry.name for entry in os.scandir(folder)} - {"lost+found"}
    names = {name for name in names if not name.startswith(f".{MARKER}.")}  # a first start that died in the middle
    if not names:
        return Standing.EMPTY
    if MARKER not in names and not _is_unmarked_home(folder, names):
        raise InvalidInput(
            f"the folder {folder} is not empty and is no home of bootpress: it holds {_some(names)}", hint=_HINT
        )
    if MARKER in names:
        _check_marker(folder / MARKER)
    _refuse_links(folder)
    return Standing.HOME if MARKER in names else Standing.UNMARKED


def is_home(folder: Path) -> bool:
    """Tell whether a folder is a home, marked or not."""
    try:
        return judge(folder) in {Standing.HOME, Standing.UNMARKED}
    except InvalidInput:
        return False


def marker_text() -> str:
    """Return what the marker says."""
    return json.dumps({"version": VERSION, "what": "a home of bootpress: run and tmp are emptied at each start"}) + "\n"


def _refuse_of_the_user(folder: Path) -> None:
    """Refuse folders that are somebody's already, also while they are empty."""
    people = {Path(os.path.realpath(Path.home())), Path(folder.anchor)}
    if folder in people:
        what = "the root of the file system" if folder == Path(folder.anchor) else "a user's own folder"
        raise InvalidInput(f"{folder} is {what}, and cannot be the home of bootpress", hint=_HINT)


def _refuse_unusable(folder: Path, found: os.stat_result) -> None:
    if not stat.S_ISDIR(found.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "no folder"
        raise InvalidInput(f"the home {folder} cannot be made: it is {what}", hint=_HINT)
    if found.st_uid != os.geteuid():
        raise InvalidInput(f"the folder {folder} belongs to another user ({found.st_uid})", hint=_HINT)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise InvalidInput(f"the folder {folder} cannot be written", hint=_HINT)


def _refuse_links(folder: Path) -> None:
    """Refuse a home of which something that is emptied lies elsewhere."""
    for name in EMPTIED:
        if (folder / name).is_symlink():
            raise InvalidInput(
                f"{folder / name} is a symbolic link: what it leads to would be emptied",
                hint="remove the link; bootpress makes a folder in its place",
            )


def _check_marker(path: Path) -> None:
    said = _json(path)
    version = said.get("version") if isinstance(said, dict) else None
    if not isinstance(version, int):
        raise InvalidInput(f"{path} is no marker of a home", hint=_HINT)
    if version > VERSION:
        hint = "run that one, or choose another folder with --home"
        raise InvalidInput(f"the home {path.parent} is of a newer bootpress (version {version})", hint=hint)


def _is_unmarked_home(folder: Path, names: Iterable[str]) -> bool:
    """Tell a home without a marker by what only a home has.

    One that has run holds its lock, its ports and what it made for good. One that has not come so far holds names of
    ours alone, and nothing yet where something would be deleted.
    """
    is_locked = _start_of(folder / "up.lock").strip().isdigit()
    ports = _json(folder / "ports.json")
    has_ports = isinstance(ports, dict) and bool(ports) and set(ports) <= {"api", "prefect", "registry"}
    lasting = (
        _is_key(_start_of(folder / "encryption.key")),
        _start_of(folder / "bootpress.db").startswith(_SQLITE),
        _start_of(folder / "admin.token").startswith(b"bp_"),
    )
    if is_locked and has_ports and any(lasting):
        return True
    has_begun = is_locked or _is_file(folder / "prefect" / "prefect.db")
    return has_begun and _OURS.issuperset(names) and not any(_holds_something(folder / name) for name in EMPTIED)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _holds_something(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _start_of(path: Path) -> bytes:
    if not _is_file(path):
        return b""
    try:
        with path.open("rb") as file:
            return file.read(_MOST)
    except OSError:
        return b""


def _json(path: Path) -> Any:
    try:
        return json.loads(_start_of(path))
    except (ValueError, RecursionError):
        return None


def _is_key(text: bytes) -> bool:
    try:
        Fernet(text.split(b",")[0].strip())
    except ValueError:
        return False
    return True


def _some(names: Iterable[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return ", ".join(name[:40] for name in shown[:_NAMED]) + more
