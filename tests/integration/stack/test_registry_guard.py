"""The guard in front of the local registry: what it relays, what it refuses, and what it ends with."""

from __future__ import annotations

import hashlib
import json
import os
import re
import resource
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bootpress.adapters.oci import Layer, OciRegistries
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from bootpress.stack import registry, registry_guard
from bootpress.stack.home import Home
from bootpress.stack.idle_connections import Bounds
from tests.support import services
from tests.support.listeners import listening_ports, tree
from tests.support.ports import free_port
from tests.support.processes import Program, is_alive, wait_for
from tests.support.raw_http import RawClient, connected

pytestmark = pytest.mark.part("docker-registry")
MIB = 1024 * 1024


class Guarded:
    """A registry behind its guard."""

    def __init__(self, home: Home, port: int, program: Program) -> None:
        self.home, self.port, self.program = home, port, program
        self.address = f"127.0.0.1:{port}"

    def ask(self, method: str = "GET", path: str = "/v2/", **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.request(method, f"http://{self.address}{path}", headers=given, timeout=60)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    deep = tmp_path_factory.mktemp("guard") / ("deeper-than-the-path-of-a-socket-may-be-" * 3)
    home, port = Home(deep / "home"), free_port()
    home.create()
    spec = registry.choose(home, port, ["registry.example.org", "inner:5000"]).spec
    assert spec is not None
    with Program(spec.words, log=home.log("registry"), env=spec.environment) as program:
        program.wait_until(lambda: registry.is_ready(f"127.0.0.1:{port}"), what="the registry answers")
        yield Guarded(home, port, program)


def error_of(answer: httpx.Response) -> str:
    [error] = answer.json()["errors"]
    assert error["code"] == "DENIED"
    assert answer.headers["connection"] == "close"
    return str(error["message"])


def test_one_port_of_loopback_leads_to_it(guarded: Guarded) -> None:
    assert listening_ports(guarded.program.pid) == {("127.0.0.1", guarded.port)}


def test_an_image_goes_in_and_out_and_away_again(guarded: Guarded, tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    layer.write_bytes(os.urandom(40 * MIB))
    repository = Repository(guarded.address, "os/large")
    registries, connection = OciRegistries(), RegistryConnection("guarded", guarded.address)
    pushed = registries.open_pusher(connection).push_image(
        repository, [Layer(layer, "application/x", "layer")], tag="v1"
    )
    opened = registries.open(connection)
    manifest = opened.fetch_manifest(repository, pushed)
    [blob] = manifest.layers
    digest = hashlib.sha256()
    with httpx.stream("GET", f"http://{guarded.address}/v2/os/large/blobs/{blob.digest}") as answer:
        for piece in answer.iter_bytes():
            digest.update(piece)
    assert f"sha256:{digest.hexdigest()}" == blob.digest
    assert opened.resolve_tag(repository, "v1") == pushed
    opened.delete_manifest(repository, pushed)
    registries.close()


@pytest.mark.part("oras")
def test_oras_pushes_and_pulls_without_a_login(guarded: Guarded, tmp_path: Path) -> None:
    oras = str(services.require("oras"))
    (tmp_path / "file").write_bytes(os.urandom(MIB))
    reference = f"{guarded.address}/os/oras:v1"
    push = [oras, "push", "--plain-http", reference, "file:application/x"]
    subprocess.run(push, check=True, capture_output=True, cwd=tmp_path)
    subprocess.run(
        [oras, "pull", "--plain-http", "-o", "out", reference], check=True, capture_output=True, cwd=tmp_path
    )
    assert (tmp_path / "out" / "file").read_bytes() == (tmp_path / "file").read_bytes()


@pytest.mark.parametrize("host", ["rebind.test", "rebind.test:5000", "attacker.localhost", "[::]", "192.0.2.1:5000"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_another_host_is_refused(guarded: Guarded, host: str, method: str) -> None:
    answer = guarded.ask(method, "/v2/os/stolen/blobs/uploads/", Host=host)
    assert answer.status_code == 403
    assert "Host" in error_of(answer)
    assert "BOOTPRESS_ALLOWED_HOSTS" in error_of(answer)
    assert not (guarded.home.registry / "docker/registry/v2/repositories/os/stolen").exists()


@pytest.mark.parametrize(
    "host", ["registry.example.org", "registry.example.org:9", "inner:5000", "localhost", "[::1]:5000"]
)
def test_our_own_hosts_are_answered(guarded: Guarded, host: str) -> None:
    assert guarded.ask(Host=host).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors", "Sec_Fetch_Dest": "image"},
        {"User_Agent": "Mozilla/5.0"},
        {"Origin": "http://localhost:1", "Content_Type": "text/plain"},
        {"Origin": "http://evil.example", "Access_Control_Request_Method": "DELETE"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
def test_a_browser_changes_nothing(guarded: Guarded, headers: dict[str, str], method: str) -> None:
    answer = guarded.ask(method, "/v2/os/stolen/blobs/uploads/", **headers)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert not (guarded.home.registry / "docker/registry/v2/repositories/os/stolen").exists()


def test_not_even_its_own_page_writes(guarded: Guarded) -> None:
    answer = guarded.ask("POST", "/v2/os/stolen/blobs/uploads/", Origin=f"http://{guarded.address}")
    assert "takes nothing from browsers" in error_of(answer)


@pytest.mark.parametrize(
    "sent",
    [
        {"User-Agent": "Mozilla/5.0", "Sec-Fetch-Site": "none"},
        {"Host": "registry.example.org"},
        {"X-Forwarded-For": "192.0.2.1"},
        {"Via": "1.1 proxy"},
        {"Forwarded": "for=192.0.2.1"},
        {"X-Real-IP": "192.0.2.1"},
        {"X-Forwarded-Server": "proxy"},
        {"X-Forwarded-Port": "443"},
        {"X-Forwarded-Prefix": "/registry"},
    ],
)
def test_no_second_request_rides_on_the_connection_of_a_browser_or_a_proxy(
    guarded: Guarded, sent: dict[str, str]
) -> None:
    lines = {"Host": guarded.address, "Connection": "keep-alive"} | sent
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    first = f"GET /v2/ HTTP/1.1\r\n{head}\r\n"
    second = "POST /v2/os/second/blobs/uploads/ HTTP/1.1\r\nHost: rebind.test\r\nContent-Length: 0\r\n\r\n"
    client = RawClient(guarded.port)
    client.send((first + second).encode())
    received = everything(client)
    assert received.count(b"HTTP/1.1 ") == 1, received
    assert received.startswith(b"HTTP/1.1 200 ")
    assert not (guarded.home.registry / "docker/registry/v2/repositories/os/second").exists()


def test_a_client_keeps_its_connection(guarded: Guarded) -> None:
    client = RawClient(guarded.port)
    for _ in range(3):
        client.send(f"GET /v2/ HTTP/1.1\r\nHost: {guarded.address}\r\n\r\n".encode())
        assert client.socket.recv(1000).startswith(b"HTTP/1.1 200 ")
    client.socket.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),
        (b"GET /v2/ HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nA: " + b"x" * registry_guard.MAX_HEAD, 431),
        (b"GET /v2/ HTTP/1.0\r\n\r\n", 403),
        (b"GET http://rebind.test/v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 403),
    ],
)
def test_what_is_no_request_of_a_client_ends_with_a_reason(guarded: Guarded, sent: bytes, status: int) -> None:
    client = RawClient(guarded.port)
    client.send(sent)
    client.socket.shutdown(1)
    head, _, body = everything(client).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert json.loads(body)["errors"]


def test_without_room_for_a_thread_a_connection_ends_and_the_guard_goes_on(guarded: Guarded) -> None:
    pid = guarded.program.pid
    [size] = re.findall(r"^VmSize:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    before = resource.prlimit(pid, resource.RLIMIT_AS, (int(size) * 1024 + MIB, resource.RLIM_INFINITY))
    try:
        clients = [RawClient(guarded.port) for _ in range(64)]  # more than there are stacks of threads that ended
        assert clients[-1].socket.recv(1) == b""
        assert "no connection: can't start new thread" in guarded.home.log("registry").read_text()
    finally:
        resource.prlimit(pid, resource.RLIMIT_AS, before)
    for client in clients:
        client.socket.close()
    assert guarded.ask().status_code == 200


def test_a_head_in_pieces_is_put_together(guarded: Guarded) -> None:
    client = RawClient(guarded.port)
    client.send(b"GET /v2/ HT", b"TP/1.1\r\nHo", f"st: {guarded.address}\r\n".encode(), b"\r\n", pause=0.05)
    assert client.socket.recv(1000).startswith(b"HTTP/1.1 200 ")
    client.socket.close()


def test_many_connections_that_say_nothing_keep_nobody_out(guarded: Guarded) -> None:
    """They are more than there are places; each has its place for ten seconds at most."""
    with ExitStack() as opened:
        for _ in range(Bounds().connections + 20):
            opened.callback(RawClient(guarded.port).socket.close)
        wait_for(lambda: registry.is_ready(guarded.address), what="the registry answers", seconds=120)


def test_idle_connections_give_way_and_one_in_use_does_not(guarded: Guarded) -> None:
    """They are more than there may be, each kept alive after an answer: nothing but a newcomer ends one."""
    with ExitStack() as opened:
        used = opened.enter_context(connected(guarded.port))
        idle = []
        for _ in range(Bounds().connections + 10):
            idle.append(opened.enter_context(connected(guarded.port)))
            for client in (idle[-1], used):
                client.send(f"GET /v2/ HTTP/1.1\r\nHost: {guarded.address}\r\n\r\n".encode())
                assert client.answer().status == 200
        assert guarded.ask().status_code == 200
        assert idle[0].is_cut_off()
        assert not idle[-1].is_cut_off()


def test_many_clients_at_once_are_served(guarded: Guarded) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: guarded.ask().status_code, range(200)))
    assert set(answers) == {200}


@pytest.mark.parametrize(
    ("number", "victim"), [(signal.SIGTERM, "guard"), (signal.SIGKILL, "guard"), (signal.SIGKILL, "registry")]
)
def test_it_ends_with_its_registry_and_its_registry_with_it(
    tmp_path: Path, number: signal.Signals, victim: str
) -> None:
    home, port = Home(tmp_path / "home"), free_port()
    home.create()
    spec = registry.choose(home, port).spec
    assert spec is not None
    with Program(spec.words, log=home.log("registry"), env=spec.environment) as program:
        program.wait_until(lambda: registry.is_ready(f"127.0.0.1:{port}"), what="the registry answers")
        [child] = tree(program.pid) - {program.pid}
        os.kill(program.pid if victim == "guard" else child, number)
        program.wait(20)
        wait_for(lambda: not is_alive(child), what="the registry is gone", seconds=20)


def everything(client: RawClient) -> bytes:
    """Return what comes until the server hangs up."""
    received = b""
    while piece := client.socket.recv(65536):
        received += piece
    client.socket.close()
    return received
