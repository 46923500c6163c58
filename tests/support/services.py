"""The real parts that tests run against: where they are, and what happens where one is missing.

A test says what it needs with `@pytest.mark.part("cosign3")`; a fixture calls `require("cosign3")` and gets the
program. Where a part is missing the test is skipped by name; with CI=true it fails. This is the only place that skips.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from tools import packages, parts
from tools.shell import in_ci

MISSING = "missing part"
MissingPart = (pytest.skip.Exception, pytest.fail.Exception)
"""What `require` raises, for a program that is no test."""


def find(name: str) -> Path | None:
    """Return the program of a built or a system part, or None; LookupError for a name that no table has."""
    return packages.find(name) if name in packages.PARTS else parts.find(name)


def require(name: str) -> Path:
    """Return the program of a part; without it skip the test that asks, or fail it in CI."""
    return find(name) or miss(
        name, "make test installs it" if name in packages.PARTS else f"make parts ARGS={name} builds it"
    )


def miss(name: str, remedy: str) -> NoReturn:
    """Skip the test that needs what is not here, or fail it in CI."""
    reason = f"{MISSING} {name}: {remedy}"
    if in_ci():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
