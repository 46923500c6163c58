"""What a folder holds, to the bit, so that two looks at it can be compared."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Return mode, owner, time of change and content of a folder and of everything in it; links are not followed."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        what = path.lstat()
        content: object = None
        if stat.S_ISLNK(what.st_mode):
            content = path.readlink()
        elif stat.S_ISREG(what.st_mode):
            content = path.read_bytes()
        found[str(path)] = (what.st_mode, what.st_uid, what.st_mtime_ns, content)
    return found


def nested(folder: Path, depth: int) -> None:
    """Make folders within one another, deeper than a path can say or a recursion can go, and a file in the last."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
