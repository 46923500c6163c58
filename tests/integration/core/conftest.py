"""A core on each of the two databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.core_world import World
from tests.support.purges import Yard


@pytest.fixture
def world(catalog_url: str) -> Iterator[World]:
    """Return a world whose test runs once on SQLite and once on PostgreSQL."""
    world = World(catalog_url)
    yield world
    world.catalog.close()


@pytest.fixture
def postgres_world(postgres_catalog: str) -> Iterator[World]:
    """Return a world on PostgreSQL, for what needs several writers at once: SQLite has one."""
    world = World(postgres_catalog)
    yield world
    world.catalog.close()


@pytest.fixture
def yard(catalog_url: str) -> Iterator[Yard]:
    """Return a world of images to retire and purge, on each database too."""
    yard = Yard(catalog_url)
    yield yard
    yard.catalog.close()
