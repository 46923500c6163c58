"""One running stack for the tests that only use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import services
from tests.support.running_stack import Stack, running_stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run `bootpress up` once; tests keep to platforms of their own."""
    services.require("docker-registry")
    with running_stack(tmp_path_factory.mktemp("stack") / "home") as running:
        yield running
