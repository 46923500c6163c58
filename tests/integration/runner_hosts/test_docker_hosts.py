"""Runners in containers of a real Docker daemon."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import docker
import pytest

from bootpress.adapters.runner_hosts import DockerHosts
from bootpress.adapters.runner_hosts.docker_hosts import MAX_ANSWER
from bootpress.core.errors import InvalidInput, RunnerHostRefused, RunnerHostUnavailable
from tests.integration.runner_hosts.conftest import IMAGE
from tests.support.conformance_runner_host import RunnerHostConformance, RunnerHostUnderTest, running
from tests.support.processes import wait_for

TOKEN_FILE = "/bootpress-registration-token"


@pytest.fixture
def dock(daemon: str, tmp_path: Path) -> RunnerHostUnderTest:
    hosts = DockerHosts()
    return RunnerHostUnderTest(hosts.open(daemon), IMAGE, hosts.open(f"unix://{tmp_path}/nothing.sock"))


class TestDockerHost(RunnerHostConformance):
    """On a real daemon."""


def test_the_token_is_nowhere_that_docker_inspect_shows(dock: RunnerHostUnderTest, client: docker.APIClient) -> None:
    spec = dock.spec()
    with running(dock, spec) as container_id:
        shown = json.dumps(client.inspect_container(container_id))
        assert spec.registration_token not in shown
        assert f"GITEA_RUNNER_REGISTRATION_TOKEN_FILE={TOKEN_FILE}" in shown
        assert read_file(client, container_id) == spec.registration_token
        dock.host.clear_registration_token(container_id)
        assert read_file(client, container_id) == ""


def read_file(client: docker.APIClient, container_id: str) -> str:
    made = client.exec_create(container_id, [python(client, container_id), "-c", f"print(open('{TOKEN_FILE}').read())"])
    said: bytes = client.exec_start(made["Id"])
    return said.decode().removesuffix("\n")


def python(client: docker.APIClient, container_id: str) -> str:
    return str(client.inspect_container(container_id)["Config"]["Entrypoint"][0])


def test_a_container_is_supervised_bounded_and_named_for_its_worker(
    dock: RunnerHostUnderTest, client: docker.APIClient
) -> None:
    spec = dock.spec()
    with running(dock, spec) as container_id:
        found = client.inspect_container(container_id)
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        assert found["HostConfig"]["NetworkMode"] == "host"
        assert found["HostConfig"]["LogConfig"]["Config"]["max-size"] == "10m"
        assert found["Config"]["Labels"]["io.bootpress.ci-worker"] == str(spec.worker_id)
        first = found["State"]["Pid"]
        os.kill(first, 9)
        wait_for(
            lambda: client.inspect_container(container_id)["State"]["Pid"] not in {0, first},
            what="the killed runner is started again",
        )


def test_a_runner_of_a_forge_elsewhere_has_a_network_of_its_own(
    dock: RunnerHostUnderTest, client: docker.APIClient
) -> None:
    spec = replace(dock.spec(), forge_url="http://192.0.2.1:3000")
    with running(dock, spec) as container_id:
        assert client.inspect_container(container_id)["HostConfig"]["NetworkMode"] in {"default", "bridge"}


def test_one_that_was_made_and_never_started_is_started(dock: RunnerHostUnderTest, client: docker.APIClient) -> None:
    spec = dock.spec()
    with running(dock, spec) as container_id:
        client.stop(container_id, timeout=0)
        assert not dock.host.is_running(container_id)
        assert dock.host.start(spec).id == container_id
        assert dock.host.is_running(container_id)


def test_removing_leaves_no_volume(dock: RunnerHostUnderTest, client: docker.APIClient) -> None:
    before = client.volumes()["Volumes"] or []
    with running(dock, dock.spec()):
        assert len(client.volumes()["Volumes"]) == len(before) + 1
    assert (client.volumes()["Volumes"] or []) == before


def test_an_image_that_is_nowhere_is_named_and_leaves_nothing(
    dock: RunnerHostUnderTest, client: docker.APIClient
) -> None:
    spec = replace(dock.spec(), image="127.0.0.1:1/act_runner:none")
    with pytest.raises((RunnerHostUnavailable, RunnerHostRefused), match=re.escape("127.0.0.1:1/act_runner:none")):
        dock.host.start(spec)
    assert client.containers(all=True) == []


def test_an_image_that_cannot_run_is_refused_with_what_docker_says(
    dock: RunnerHostUnderTest, client: docker.APIClient
) -> None:
    client.import_image_from_data(b"", repository="tests/empty", tag="1", changes=['ENTRYPOINT ["/nothing"]'])
    spec = replace(dock.spec(), image="tests/empty:1")
    try:
        with pytest.raises(RunnerHostRefused, match="nothing"):
            dock.host.start(spec)
    finally:
        dock.host.remove(spec.worker_id)
    assert client.containers(all=True) == []


def test_a_name_that_is_taken_is_refused_and_what_has_it_stays(
    dock: RunnerHostUnderTest, client: docker.APIClient
) -> None:
    spec = dock.spec()
    taken = client.create_container(IMAGE, name=f"bootpress-runner-{spec.worker_id}")["Id"]
    try:
        with pytest.raises(RunnerHostRefused, match="already in use") as caught:
            dock.host.start(spec)
        assert "in the way" in str(caught.value.hint)
        dock.host.remove(spec.worker_id)
        assert client.inspect_container(taken)["Id"] == taken
    finally:
        client.remove_container(taken, v=True)


def test_a_socket_that_we_may_not_open_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0)
        with somebody(), pytest.raises(RunnerHostRefused, match="we may not use the Docker host unix://") as caught:
            DockerHosts().open(f"unix://{path}").check()
    assert "the group docker" in str(caught.value.hint)


@contextmanager
def somebody() -> Iterator[None]:
    """Be a user who may not do everything, for a while."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(me)


@pytest.mark.parametrize("url", ["ssh://host", "http://host:2375", "tcp://host", "tcp://me:secret@host:1", "host", ""])
def test_what_is_no_docker_host_is_refused_by_field(url: str) -> None:
    with pytest.raises(InvalidInput, match="runner_host") as caught:
        DockerHosts().open(url)
    assert caught.value.field == "runner_host"


def test_what_answers_and_is_no_docker_host_is_unavailable() -> None:
    with pytest.raises(RunnerHostUnavailable, match=r"tcp://127\.0\.0\.1:1 did not answer"):
        DockerHosts().open("tcp://127.0.0.1:1").check()


class FalseDaemon:
    """Answers as a Docker daemon does that has nothing; its logs are said to be elsewhere."""

    def __init__(self, elsewhere: str) -> None:
        self.asked: list[str] = []
        self.logins: list[str] = []
        self.padding = 0
        told: dict[str, object] = {"version": {"ApiVersion": "1.44"}, "images/create": {"error": "not here"}}
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                daemon.asked.append(self.path)
                daemon.logins += self.headers.get_all("X-Registry-Auth", [])
                if "/logs" in self.path:
                    self.send_response(HTTPStatus.FOUND)
                    self.send_header("Location", f"{elsewhere}/secrets")
                    content = b""
                else:
                    self.send_response(HTTPStatus.OK)
                    known = next((one for path, one in told.items() if path in self.path), None)
                    empty: object = (
                        [] if "/json?" in self.path else {"Config": {"Tty": True}, "State": {"Status": "exited"}}
                    )
                    content = json.dumps(known or empty).encode() + b" " * daemon.padding
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(ConnectionError):
                    self.wfile.write(content)

            do_POST = do_GET  # noqa: N815 - the name that is looked for

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"


@contextmanager
def false_daemon(elsewhere: str = "") -> Iterator[FalseDaemon]:
    """Run one."""
    daemon = FalseDaemon(elsewhere)
    serving = threading.Thread(target=daemon.server.serve_forever, daemon=True)
    serving.start()
    try:
        yield daemon
    finally:
        daemon.server.shutdown()
        daemon.server.server_close()
        serving.join()


def test_where_a_host_would_send_us_nobody_is_asked() -> None:
    with false_daemon() as neighbour, false_daemon(f"http://{neighbour.host}") as daemon:
        with pytest.raises(RunnerHostUnavailable, match="TooManyRedirects"):
            DockerHosts().open(f"tcp://{daemon.host}").logs("a" * 12, lines=20)
        assert any("/logs" in path for path in daemon.asked)
        assert neighbour.asked == []


def test_an_answer_without_end_is_given_up() -> None:
    with false_daemon() as daemon:
        host = DockerHosts().open(f"tcp://{daemon.host}")
        daemon.padding = MAX_ANSWER // 2
        assert not host.is_running("a" * 12)
        daemon.padding = 4 * MAX_ANSWER
        with pytest.raises(RunnerHostUnavailable):
            host.is_running("a" * 12)


def test_logins_for_images_go_to_our_own_host_alone(
    dock: RunnerHostUnderTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = base64.b64encode(b"robot:hunter2").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"images.example": {"auth": login}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    spec = replace(dock.spec(), image="images.example/runner:1")
    with false_daemon() as daemon:
        url = f"tcp://{daemon.host}"
        for hosts, sent in ((DockerHosts(), {}), (DockerHosts(url), {"username": "robot", "password": "hunter2"})):
            with pytest.raises(RunnerHostUnavailable, match="not here"):
                hosts.open(url).start(spec)
            told = json.loads(base64.urlsafe_b64decode(daemon.logins.pop()))
            assert {name: told[name] for name in ("username", "password") if name in told} == sent
