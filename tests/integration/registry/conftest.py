"""One real registry for all tests of this folder; each test has a repository of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpress.adapters.oci import OciRegistries, OciRegistry, Pusher
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from tests.support.registry import running_registry

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def registry_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the `host:port` of a running docker-registry."""
    with running_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def repository(registry_host: str) -> Repository:
    return Repository(registry_host, f"os/images-{next(_numbers)}")


@pytest.fixture
def registries() -> Iterator[OciRegistries]:
    opened = OciRegistries()
    yield opened
    opened.close()


@pytest.fixture
def connection(registry_host: str) -> RegistryConnection:
    return RegistryConnection(name="default", host=registry_host)


@pytest.fixture
def registry(registries: OciRegistries, connection: RegistryConnection) -> OciRegistry:
    return registries.open(connection)


@pytest.fixture
def pusher(registries: OciRegistries, connection: RegistryConnection) -> Pusher:
    return registries.open_pusher(connection)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for files that are pushed or downloaded."""
    path = tmp_path / "files"
    path.mkdir()
    return path
