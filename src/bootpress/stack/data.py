"""Where the files are that ship with the packages."""

from __future__ import annotations

from pathlib import Path

import bootpress
from bootpress.stack.errors import StackFailed

_PACKAGE = Path(bootpress.__file__).parent


def prefect_yaml_path() -> Path:
    """Return the prefect.yaml of the wheel, or in a checkout the one at its top."""
    for found in (_PACKAGE / "data" / "prefect.yaml", _PACKAGE.parents[1] / "prefect.yaml"):
        if found.is_file():
            return found
    raise StackFailed("prefect.yaml is not there", hint="install bootpress again: its wheel carries it")
