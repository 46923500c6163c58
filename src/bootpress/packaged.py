"""Files that ship beside the code: in the wheel as its data, in a checkout at its top."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import bootpress
from bootpress.core.errors import Conflict

_PACKAGE = Path(bootpress.__file__).parent
BUILD_REPOSITORY = Path("deployments/build-repo")
BUILT = "build"
"""What somebody built there; its .gitignore names it."""


def build_repository() -> Mapping[str, bytes]:
    """Return the files that a build repository begins with, by path."""
    for found in (_PACKAGE / "data" / BUILD_REPOSITORY, _PACKAGE.parents[1] / BUILD_REPOSITORY):
        if found.is_dir():
            paths = sorted(path.relative_to(found) for path in found.rglob("*") if path.is_file())
            return {path.as_posix(): (found / path).read_bytes() for path in paths if path.parts[0] != BUILT}
    raise Conflict("the build repository's template is not there", hint="install bootpress again: its wheel has it")
