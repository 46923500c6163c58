"""Clients that are slow, silent, many, or speak no HTTP: cut off in bounded time, and never in others' way."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from bootpress.core.webhooks.service import PATH
from bootpress.entrypoints.api import server
from bootpress.entrypoints.api.http_protocol import ConnectionLimits
from tests.support.api import ApiServer, WebhookClient, announcement, running_press
from tests.support.fakes import eventually
from tests.support.raw_http import RawClient, connected, request

HASTY = ConnectionLimits(connections=40, head=0.6, idle=1.0, body=0.6, taking=0.6)
PATIENT = ConnectionLimits(connections=12, head=60, idle=60, body=60, taking=60)
BELL = PATH + "x"
SOON = 4.0
"""Seconds: much more than HASTY, much less than anybody would otherwise wait."""


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running_press(f"sqlite:///{tmp_path_factory.mktemp('hasty') / 'catalog.db'}", bounds=HASTY) as press:
        yield press


@pytest.fixture
def small(tmp_path: Path) -> Iterator[ApiServer]:
    with running_press(f"sqlite:///{tmp_path / 'catalog.db'}", bounds=PATIENT) as press:
        yield press


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a stranger sends, he does not fill our logs."""
    yield
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == []


def is_served(press: ApiServer) -> bool:
    with connected(press.port) as other:
        other.send(request())
        return other.answer().status == 200


def test_a_client_that_sends_nothing_is_cut_off(hasty: ApiServer) -> None:
    with connected(hasty.port) as silent:
        assert is_served(hasty)
        assert silent.rest(seconds=SOON) == b""


def test_headers_that_dribble_are_408_in_bounded_time_while_others_are_served(hasty: ApiServer) -> None:
    with connected(hasty.port) as slow:
        begun = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(dribble, slow, request("GET", "/healthz", "X-Long: " + "x" * 4000), 0.05)
            assert is_served(hasty)
            answer = slow.answer()
            assert time.monotonic() - begun < SOON
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert "headers" in answer.problem()["detail"]
            assert slow.rest(seconds=SOON) == b""
            assert sending.result() < 4000


def dribble(client: RawClient, data: bytes, pause: float) -> int:
    """Send byte by byte until it is done or cut off; return how many were sent."""
    for number, byte in enumerate(data):
        try:
            client.send(bytes([byte]), pause=pause)
        except OSError:
            return number
    return len(data)


def test_a_second_request_that_dribbles_is_cut_off_too(hasty: ApiServer) -> None:
    with connected(hasty.port) as slow:
        slow.send(request())
        assert slow.answer().status == 200
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(dribble, slow, request("GET", "/healthz", "X-Long: " + "x" * 4000), 0.1)
            assert slow.answer().status == 408
            assert sending.result() < 200


@pytest.mark.parametrize("framing", ["Content-Length", "Transfer-Encoding"])
def test_a_body_that_dribbles_is_408_in_bounded_time_while_others_are_served(hasty: ApiServer, framing: str) -> None:
    bell = hasty.provision(framing)
    body = json.dumps(announcement(padding="x" * 4000)).encode()
    value, sent = str(len(body)), body
    if framing == "Transfer-Encoding":
        value, sent = "chunked", b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    signature = f"X-Powernode-Signature: {bell.sign(body).hex()}"
    with connected(hasty.port) as slow:
        begun = time.monotonic()
        slow.send(request("POST", bell.path, "Content-Type: application/json", f"{framing}: {value}", signature))
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(dribble, slow, sent, 0.02)
            assert is_served(hasty)
            answer = slow.answer()
            assert HASTY.body <= time.monotonic() - begun < SOON
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert "body" in answer.problem()["detail"]
            assert slow.rest(seconds=SOON) == b""
            assert sending.result() < len(sent)
    stored = hasty.called("system_list_disk_image_deliveries")["deliveries"]
    assert [one for one in stored if one["webhook_id"] == bell.webhook_id] == []
    assert bell.ring(body=body).status_code == 202  # all at once, it is good


def test_a_body_that_dribbles_on_after_the_answer_is_cut_off(hasty: ApiServer) -> None:
    with connected(hasty.port) as slow:
        slow.send(request("POST", "/api/v1/operations/recent_events", "Content-Length: 100000"))
        assert slow.answer().status == 401
        assert dribble(slow, b"x" * 1000, 0.02) < 1000


def test_a_client_that_takes_nothing_of_its_answers_is_cut_off(hasty: ApiServer) -> None:
    with connected(hasty.port, receive_buffer=4096) as greedy:
        asked = request("GET", "/api/openapi.json", f"Authorization: Bearer {hasty.token}")
        greedy.send(asked * 100)
        time.sleep(2 * HASTY.taking)
        assert is_served(hasty)
        size = len(hasty.http.get("/api/openapi.json", headers={"Authorization": f"Bearer {hasty.token}"}).content)
        assert len(greedy.rest(seconds=SOON)) < 100 * size


def test_a_connection_that_is_used_outlives_every_bound(hasty: ApiServer) -> None:
    with connected(hasty.port) as steady:
        for _ in range(5):
            steady.send(request())
            assert steady.answer().status == 200
            time.sleep(HASTY.idle * 0.6)
        assert not steady.is_cut_off()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        request("POST", BELL, "Content-Length: 9", body=b"half"),
        request("POST", BELL, "Transfer-Encoding: chunked", body=b"5\r\nhalf"),
    ],
    ids=["nothing", "half a head", "half a body", "half a chunk"],
)
def test_whoever_keeps_us_waiting_makes_room_for_others(small: ApiServer, sent: bytes) -> None:
    with ExitStack() as stack:
        crowd: list[RawClient] = []
        for _ in range(3 * PATIENT.connections):
            crowd.append(stack.enter_context(connected(small.port)))
            crowd[-1].send(sent)
        for _ in range(3):
            assert is_served(small)
        assert eventually(lambda: sum(not client.is_cut_off() for client in crowd) < PATIENT.connections)
        assert not crowd[-1].is_cut_off()


def test_only_where_all_are_being_answered_it_is_503(small: ApiServer) -> None:
    bell = small.provision()
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with small.context.catalog.transaction():
            held.set()
            release.wait(20)

    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        holding = pool.submit(hold)
        assert held.wait(20)
        ringing = [stack.enter_context(connected(small.port)) for _ in range(PATIENT.connections)]
        for number, client in enumerate(ringing):
            client.send(ring(bell, number))
        time.sleep(0.5)  # all of them are being answered
        late = stack.enter_context(connected(small.port))
        late.send(request())
        answer = late.answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert answer.problem()["type"] == "urn:bootpress:problem:too-many-connections"
        release.set()
        assert {client.answer().status for client in ringing} == {202}
        holding.result()
    assert is_served(small)


def ring(bell: WebhookClient, number: int) -> bytes:
    body = json.dumps(announcement(run_id=number)).encode()
    signature = f"X-Powernode-Signature: {bell.sign(body).hex()}"
    return request(
        "POST", bell.path, "Content-Type: application/json", f"Content-Length: {len(body)}", signature, body=body
    )


@pytest.mark.parametrize(("files", "connections"), [(1024, 512), (20_000, 19_488), (100, server.BACKLOG)])
def test_there_are_no_more_connections_than_open_files_allow(files: int, connections: int) -> None:
    assert server.affordable_connections(files) == connections
