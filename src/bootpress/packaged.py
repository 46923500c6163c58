"""Files that ship beside the code: in the wheel as its data, in a checkout at its top."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import bootpress
from bootpress.core.errors import Conflict

_PACKAGE = Path(bootpress.__file__).parent
BUILD_REPOSITORY = Path("deployments/build-repo")


def build_repository() -> Mapping[str, bytes]:
    """Return the files that a build repository begins with, by path."""
    for found in (_PACKAGE / "data" / BUILD_REPOSITORY, _PACKAGE.parents[1] / BUILD_REPOSITORY):
        if found.is_dir():
            paths = sorted(path for path in found.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
            return {path.relative_to(found).as_posix(): path.read_bytes() for path in paths}
    raise Conflict("the build repository's template is not there", hint="install bootpress again: its wheel has it")
