"""Requests that are too large, malformed, or ask for what no path, method or version is: one right answer each."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from bootpress.core.deliveries.payload import MAX_BODY
from bootpress.entrypoints.api.http_protocol import MAX_HEAD
from tests.support.api import ApiServer, WebhookClient, announcement
from tests.support.raw_http import Answer, RawClient, connected, request

JSON = "Content-Type: application/json"


@pytest.fixture(autouse=True)
def nothing_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a stranger sends, he does not fill our logs."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture
def client(shared: ApiServer) -> Iterator[RawClient]:
    with connected(shared.port) as one:
        yield one


def refused(client: RawClient, status: int) -> Answer:
    """Read an answer that ends its connection."""
    answer = client.answer()
    assert answer.status == status, answer
    answer.problem()
    assert answer.headers["connection"] == "close"
    assert client.rest(seconds=5) == b""
    return answer


def test_headers_up_to_the_bound_are_read_and_one_byte_more_is_431(shared: ApiServer) -> None:
    bare = request("GET", "/healthz", "X-Long: ")
    with connected(shared.port) as just:
        just.send(request("GET", "/healthz", "X-Long: " + "x" * (MAX_HEAD - len(bare))))
        assert just.answer().status == 200
    with connected(shared.port) as more:
        more.send(request("GET", "/healthz", "X-Long: " + "x" * (MAX_HEAD * 2 - len(bare)))[:-1])
        refused(more, 431)


def test_a_path_without_end_is_431(client: RawClient) -> None:
    client.send(b"GET /" + b"x" * 2 * MAX_HEAD)
    refused(client, 431)


def test_headers_without_number_are_431(client: RawClient) -> None:
    client.send(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * MAX_HEAD)
    refused(client, 431)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 600 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: press\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: press\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: press\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: press\r\nHost: another\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: press\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: press\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: press\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: press\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: press\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: press\r\nContent-Length: +1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: press\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    ],
    ids=lambda sent: sent[:40].decode("latin-1").encode("unicode_escape").decode(),
)
def test_what_is_no_http_is_400(client: RawClient, sent: bytes) -> None:
    client.send(sent)
    refused(client, 400)


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "identity"])
def test_a_coding_that_nobody_understands_is_501(client: RawClient, coding: str) -> None:
    client.send(request("POST", "/", f"Transfer-Encoding: {coding}"))
    refused(client, 501)


def test_a_length_beside_chunks_is_400(client: RawClient, shared_bell: WebhookClient) -> None:
    # A proxy in front that goes by the other one would see another request than we do (RFC 9112, 11.2).
    client.send(request("POST", shared_bell.path, JSON, "Content-Length: 3", "Transfer-Encoding: chunked"))
    refused(client, 400)


def test_a_chunk_of_no_length_is_400(client: RawClient, shared_bell: WebhookClient) -> None:
    client.send(request("POST", shared_bell.path, JSON, "Transfer-Encoding: chunked"), b"2\r\n{}\r\nzz\r\n")
    refused(client, 400)


def test_nonsense_after_an_answer_is_400_and_nonsense_in_a_body_that_nobody_reads_is_cut_off(shared: ApiServer) -> None:
    with connected(shared.port) as after:
        after.send(request() + b"nonsense\r\n\r\n")
        assert after.answer().status == 200
        refused(after, 400)
    with connected(shared.port) as within:
        within.send(request("POST", "/api/v1/operations/x", "Transfer-Encoding: chunked"))
        assert within.answer().status == 401
        within.send(b"zz\r\n")
        assert within.rest(seconds=5) == b""


def test_a_chunked_body_beyond_the_bound_is_413(client: RawClient, shared_bell: WebhookClient) -> None:
    chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
    client.send(
        request("POST", shared_bell.path, JSON, "Transfer-Encoding: chunked"), chunk, chunk, chunk, b"0\r\n\r\n"
    )
    refused(client, 413)


def test_a_body_in_the_smallest_of_chunks_is_read(client: RawClient, shared_bell: WebhookClient) -> None:
    body = json.dumps(announcement()).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    signed = f"X-Powernode-Signature: {shared_bell.sign(body).hex()}"
    client.send(request("POST", shared_bell.path, JSON, signed, "Transfer-Encoding: chunked"), chunks)
    assert client.answer().status == 202


def test_whoever_asks_before_he_sends_is_told_to_go_on(client: RawClient, shared_bell: WebhookClient) -> None:
    body = json.dumps(announcement()).encode()
    signed = f"X-Powernode-Signature: {shared_bell.sign(body).hex()}"
    client.send(request("POST", shared_bell.path, JSON, signed, f"Content-Length: {len(body)}", "Expect: 100-continue"))
    assert client.line() == b"HTTP/1.1 100 Continue"
    assert client.line() == b""
    client.send(body)
    assert client.answer().status == 202


def test_whoever_asks_before_he_sends_too_much_is_told_not_to(client: RawClient, shared_bell: WebhookClient) -> None:
    length = f"Content-Length: {MAX_BODY + 1}"
    client.send(request("POST", shared_bell.path, JSON, length, "Expect: 100-continue"))
    assert client.line().startswith(b"HTTP/1.1 413 ")


def test_requests_in_one_packet_are_answered_in_their_order(client: RawClient) -> None:
    paths = ["/healthz", "/nothing", "/healthz", "/metrics"] * 10
    client.send(b"".join(request("GET", path) for path in paths))
    assert [client.answer().status for _ in paths] == [200, 404, 200, 401] * 10


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/openapi.json", "/api/v1/operations", "/app"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "MADE-UP"])
def test_another_method_is_405_and_names_those_there_are(client: RawClient, path: str, method: str) -> None:
    client.send(request(method, path, "Content-Length: 0"))
    answer = client.answer()
    assert answer.status == 405
    answer.problem()
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", ["/healthz", "/app/login"])
def test_head_is_get_without_a_body(client: RawClient, path: str) -> None:
    client.send(request("HEAD", path), request("GET", path))
    head = client.line()
    assert head == b"HTTP/1.1 200 OK"
    while client.line():
        """Skip the headers: what follows is the next answer, for there is no body."""
    assert client.answer().status == 200


@pytest.mark.parametrize(
    "path",
    [
        "//healthz",
        "/healthz/",
        "/./healthz",
        "/..%2f..%2fetc%2fpasswd",
        "/%00",
        "/healthz%00",
        "/%ff%fe",
        "/%",
        "/%zz",
        "/" + "a/" * 7000,
        "/" + "%2e%2e/" * 100,
        "*",
        "http://elsewhere.example/healthz",
        "elsewhere.example:443",
        "/api/v1/operations/",
    ],
    ids=lambda path: path[:30],
)
def test_a_path_that_is_nowhere_is_404(client: RawClient, path: str) -> None:
    client.send(request("GET", path))
    answer = client.answer()
    assert answer.status == 404
    assert len(answer.body) < 5_000
    answer.problem()


@pytest.mark.parametrize("name", ["%00", "%0a", "..%5c", "%F0%9F%92%BE", "x" * 10_000])
def test_a_name_that_is_absurd_is_answered_as_any_other(client: RawClient, shared: ApiServer, name: str) -> None:
    token = f"Authorization: Bearer {shared.token}"
    client.send(request("POST", f"/api/v1/operations/{name}", token, "Content-Length: 0"))
    assert client.answer().problem()["status"] == 404
    client.send(request("POST", f"/api/v1/system/webhooks/disk_image/built/{name}", JSON, "Content-Length: 0"))
    assert client.answer().problem()["status"] == 401
    client.send(request("GET", f"/app/publications/{name}"))
    assert client.answer().status == 404


@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_who_asks_for_another_protocol_gets_this_one(client: RawClient, protocol: str) -> None:
    client.send(request("GET", "/healthz", f"Upgrade: {protocol}", "Connection: Upgrade"))
    assert client.answer().status == 200
