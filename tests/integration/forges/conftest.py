"""A forge that answers as a test tells it to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.scripted_forge import ScriptedForge


@pytest.fixture
def scripted() -> Iterator[ScriptedForge]:
    forge = ScriptedForge()
    yield forge
    forge.close()
