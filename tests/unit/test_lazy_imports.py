"""What takes long to import is imported where it is used: a command that needs none of it answers at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SLOW = ("docker", "fastapi", "oras", "prefect", "sigstore", "sqlalchemy")


@pytest.mark.parametrize(
    ("module", "needed"),
    [
        ("bootpress.entrypoints.cli.main", set()),
        ("bootpress.adapters.cosign.verifier", set()),
        ("bootpress.entrypoints.api.app", {"fastapi", "sqlalchemy"}),
    ],
)
def test_a_door_imports_no_more_than_it_needs(module: str, needed: set[str]) -> None:
    code = f"import sys, {module}; print(*[name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert set(done.stdout.split()) == needed
