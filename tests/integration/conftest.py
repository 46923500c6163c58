"""Registries of three kinds, each started when the first test asks for it and shared by all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.registries import RunningRegistry, running


@pytest.fixture(scope="session")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], RunningRegistry]]:
    """Return a function that gives the running registry of a kind."""
    started: dict[str, RunningRegistry] = {}
    with ExitStack() as stack:

        def get(kind: str) -> RunningRegistry:
            if kind not in started:
                started[kind] = stack.enter_context(running(kind, tmp_path_factory.mktemp(kind)))
            return started[kind]

        yield get
