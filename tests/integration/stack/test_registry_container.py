"""The registry of a machine with Docker and without Debian's docker-registry, on a real daemon."""

from __future__ import annotations

import gc
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from bootpress.adapters.oci import OciRegistries
from bootpress.core.ports import DeleteResult, RegistryConnection
from bootpress.core.references import Repository
from bootpress.stack import registry, registry_container, registry_download
from bootpress.stack.home import Home
from bootpress.stack.ports import PortReservations, allocate_ports
from bootpress.stack.supervisor import Signals, Supervisor
from bootpress.stack.up import STAGES
from tests.support import services
from tests.support.docker_daemon import make_image, running_daemon
from tests.support.ports import free_port
from tests.support.processes import Program, wait_for


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a daemon that has the registry's image, made of the packaged program."""
    program = services.require("docker-registry")
    with running_daemon(tmp_path_factory.mktemp("docker")) as url:
        make_image(url, registry_container.IMAGE, [program], entrypoint=[str(program)])
        yield url


@pytest.fixture
def client(daemon: str) -> Iterator[docker.DockerClient]:
    opened = docker.DockerClient(base_url=daemon)
    yield opened
    opened.close()


@pytest.fixture
def home(tmp_path: Path, daemon: str, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Return a home on a machine whose PATH has nothing and whose Docker is the tests'."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", daemon)
    home = Home(tmp_path / "home")
    home.create()
    return home


def choose(home: Home, port: int) -> registry.RegistryLaunch:
    registry_download.prepare(home)
    return registry.choose(home, port)


def run(home: Home, port: int) -> Program:
    choice = choose(home, port)
    assert choice.spec is not None, choice.reason
    assert choice.reason == f"a container of {registry_container.IMAGE}"
    return Program(choice.spec.words, log=home.log("registry"), env=choice.spec.environment)


def test_the_container_serves_keeps_and_deletes(home: Home, client: docker.DockerClient) -> None:
    port = free_port()
    address = f"127.0.0.1:{port}"
    repository = Repository(address, "os/image")
    registries = OciRegistries()
    connection = RegistryConnection(name="default", host=address)
    with run(home, port) as program:
        program.wait_until(lambda: registry.is_ready(address), what="the registry answers")
        pushed = registries.open_pusher(connection).push_image(repository, [], tag="v1")
    assert client.containers.list(all=True) == [], "a stopped registry left its container"
    with run(home, port) as program:
        program.wait_until(lambda: registry.is_ready(address), what="the registry answers again")
        opened = registries.open(connection)
        assert opened.resolve_tag(repository, "v1") == pushed
        assert opened.delete_manifest(repository, pushed) is DeleteResult.DELETED
    registries.close()


def test_a_killed_predecessors_container_is_replaced(home: Home, client: docker.DockerClient) -> None:
    port = free_port()
    address = f"127.0.0.1:{port}"
    first = run(home, port)
    first.wait_until(lambda: registry.is_ready(address), what="the registry answers")
    left = client.containers.list()[0].id
    first.kill()
    with run(home, port) as program:
        program.wait_until(lambda: [one.id for one in client.containers.list()] not in ([], [left]), what="replaced")
        program.wait_until(lambda: registry.is_ready(address), what="the registry answers again")
        assert len(client.containers.list()) == 1
    wait_for(lambda: client.containers.list(all=True) == [], what="the container is gone")


def test_a_killed_predecessors_container_gives_the_homes_port_back(home: Home, client: docker.DockerClient) -> None:
    port = free_port()
    home.ports.write_text(json.dumps({"api": free_port(), "prefect": free_port(), "registry": port}))
    killed = run(home, port)
    killed.wait_until(lambda: registry.is_ready(f"127.0.0.1:{port}"), what="the registry answers")
    killed.kill()
    assert client.containers.list() != []
    with Signals() as signals:
        registry.remove_left_container(home, Supervisor(home, signals))
    assert client.containers.list(all=True) == []
    reservations = PortReservations()
    try:
        assert allocate_ports(home.ports, reservations, wait_seconds=1).registry == port
    finally:
        reservations.release()
    assert not home.had_container.exists()


@pytest.mark.parametrize("seconds", [0.2, 0.4, 0.6, 0.8, 1.0])
def test_sigterm_leaves_no_container_however_early_it_comes(
    home: Home, client: docker.DockerClient, seconds: float
) -> None:
    program = run(home, free_port())
    time.sleep(seconds)
    program.send(signal.SIGTERM)
    begun = time.monotonic()
    program.wait(10)
    assert time.monotonic() - begun < dict(STAGES)["registry", "prefect"]
    assert client.containers.list(all=True) == []


def test_without_the_image_the_reason_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_container, "IMAGE", "127.0.0.1:1/registry:none")
    choice = choose(home, free_port())
    assert choice.spec is None
    assert "Docker cannot pull 127.0.0.1:1/registry:none" in choice.reason


# The SDK leaves the socket that it could not connect to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_without_a_daemon_the_reason_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{home.folder}/nothing.sock")
    choice = choose(home, free_port())
    assert choice.spec is None
    assert choice.reason.endswith("; no Docker daemon answers")
    gc.collect()
