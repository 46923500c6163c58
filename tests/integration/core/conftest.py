"""A core on each of the two databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.core_harness import CoreHarness
from tests.support.retention_harness import RetentionHarness


@pytest.fixture
def world(catalog_url: str) -> Iterator[CoreHarness]:
    """Return a world whose test runs once on SQLite and once on PostgreSQL."""
    world = CoreHarness(catalog_url)
    yield world
    world.catalog.close()


@pytest.fixture
def postgres_world(postgres_catalog: str) -> Iterator[CoreHarness]:
    """Return a world on PostgreSQL, for what needs several writers at once: SQLite has one."""
    world = CoreHarness(postgres_catalog)
    yield world
    world.catalog.close()


@pytest.fixture
def yard(catalog_url: str) -> Iterator[RetentionHarness]:
    """Return a world of images to retire and purge, on each database too."""
    yard = RetentionHarness(catalog_url)
    yield yard
    yard.catalog.close()
