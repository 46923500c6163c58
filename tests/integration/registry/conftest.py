"""Real registries for the tests of this folder, which all share; each test has a repository of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bootpress.adapters.oci import Limits, OciRegistries, OciRegistry, Pusher
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from tests.support.clocks import SkippingClock
from tests.support.hostile_registry import HostileRegistry, hostile_registry
from tests.support.registries import NAMESPACE, RunningRegistry

SECRET = "s3cret-of-the-connection"
LIMITS = Limits(silence_seconds=1, connect_seconds=1, rate_seconds=0.3, request_seconds=90)
_numbers = itertools.count(1)


@pytest.fixture
def place(request: pytest.FixtureRequest, open_registry: Callable[[str], RunningRegistry]) -> RunningRegistry:
    """Return a running docker-registry, or the kind that a test asks for with `everywhere("place")`."""
    return open_registry(getattr(request, "param", "docker-registry"))


@pytest.fixture
def registry_host(place: RunningRegistry) -> str:
    return place.host


@pytest.fixture
def repository(place: RunningRegistry) -> Repository:
    return Repository(place.host, f"{NAMESPACE}/images-{next(_numbers)}")


@pytest.fixture
def registries() -> Iterator[OciRegistries]:
    opened = OciRegistries()
    yield opened
    opened.close()


@pytest.fixture
def connection(place: RunningRegistry) -> RegistryConnection:
    return place.connection


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


@pytest.fixture
def hostile() -> Iterator[HostileRegistry]:
    """Run a registry that does what the test tells it to."""
    with hostile_registry() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[HostileRegistry]:
    """Run another one: another origin."""
    with hostile_registry() as running:
        yield running


@pytest.fixture
def quick() -> SkippingClock:
    return SkippingClock()


@pytest.fixture
def victim(hostile: HostileRegistry, quick: SkippingClock) -> Iterator[OciRegistry]:
    """Return our side of the hostile registry, with a credential; waits pass at once, silence lasts a second."""
    opened = OciRegistries(limits=LIMITS, timing=quick.timing)
    yield opened.open(RegistryConnection("default", hostile.host, "robot", SECRET))
    opened.close()


@pytest.fixture
def target(hostile: HostileRegistry) -> Repository:
    return Repository(hostile.host, "os/images")
