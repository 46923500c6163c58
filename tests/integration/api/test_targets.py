"""Request targets in each of their forms (RFC 9112, 3.2), and heads beyond their bound, on a raw connection."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bootpress.entrypoints.api.http_protocol import MAX_HEAD
from tests.support.api import PUBLIC_URL, ApiServer, WebhookClient, announcement
from tests.support.raw_http import Answer, RawClient, connected, request

JSON = "Content-Type: application/json"


@pytest.fixture
def client(shared: ApiServer) -> Iterator[RawClient]:
    with connected(shared.port) as one:
        yield one


def ask(client: RawClient, method: str, target: str, *headers: str, body: bytes = b"") -> Answer:
    client.send(request(method, target, *headers, body=body))
    return client.answer()


@pytest.mark.parametrize(
    "base",
    [
        "http://127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://localhost:{port}",
        "HTTP://LocalHost:{port}",
        "http://[::1]:{port}",
        "https://127.0.0.1:{port}",
        "http://press",
        "http://press:80",
        "http://press:",
        PUBLIC_URL,
    ],
)
def test_a_whole_url_is_answered_like_its_path(client: RawClient, shared: ApiServer, base: str) -> None:
    base = base.format(port=shared.port)
    token = f"Authorization: Bearer {shared.token}"
    for path, status in {
        "/healthz": 200,
        "/readyz": 200,
        "/metrics": 200,
        "/api/openapi.json": 200,
        "/api/v1/operations": 200,
        "/app/login?next=%2Fapp": 200,
        "/nothing": 404,
        "/healthz?x=1": 200,
        "": 404,
        "?x": 404,
    }.items():
        plain = ask(client, "GET", path if path.startswith("/") else f"/{path}", token)
        whole = ask(client, "GET", base + path, token)
        assert (plain.status, whole.status) == (status, status), path
        assert whole.headers["content-type"] == plain.headers["content-type"]
    called = ask(
        client, "POST", f"{base}/api/v1/operations/recent_events", token, JSON, "Content-Length: 2", body=b"{}"
    )
    assert called.status == 200


def test_a_webhook_rings_by_a_whole_url(client: RawClient, shared: ApiServer, shared_bell: WebhookClient) -> None:
    body = json.dumps(announcement()).encode()
    signed = f"X-Powernode-Signature: {shared_bell.sign(body).hex()}"
    target = f"http://127.0.0.1:{shared.port}{shared_bell.path}"
    answer = ask(client, "POST", target, JSON, signed, f"Content-Length: {len(body)}", body=body)
    assert answer.status == 202
    counted = ask(client, "GET", "/metrics", f"Authorization: Bearer {shared.token}").body
    assert b'bootpress_webhook_responses_total{status="202"}' in counted


def test_the_host_of_a_whole_url_takes_the_place_of_the_header(client: RawClient, shared: ApiServer) -> None:
    # RFC 9112, 3.2.2: what Host says is ignored. The console compares it with where a form came from.
    form = "Content-Type: application/x-www-form-urlencoded"
    for target, status in (("http://localhost", 303), ("http://127.0.0.1", 403)):
        body = f"token={shared.token}".encode()
        headers = (form, "Origin: http://localhost", f"Content-Length: {len(body)}")
        client.send(
            b"\r\n".join(
                line.encode() for line in (f"POST {target}/app/login HTTP/1.1", "Host: elsewhere", *headers, "", "")
            )
            + body
        )
        assert client.answer().status == status, target


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("OPTIONS", "*", 405),
        ("CONNECT", "127.0.0.1:443", 405),
        ("CONNECT", "press", 405),
        ("CONNECT", "http://127.0.0.1/healthz", 405),
        ("GET", "*", 404),
        ("GET", "healthz", 404),
        ("GET", "127.0.0.1:443", 404),
        ("GET", "ftp://127.0.0.1/healthz", 404),
        ("GET", "http://elsewhere.example/healthz", 404),
        ("GET", "http://127.0.0.1.elsewhere.example/healthz", 404),
        ("GET", "http:///healthz", 400),
        ("GET", "http://", 400),
        ("GET", "http://me@127.0.0.1/healthz", 400),
        ("GET", "http://127.0.0.1:port/healthz", 400),
        ("GET", "http://127.0.0.1:123456/healthz", 400),
        ("GET", "http://[::1/healthz", 400),
        ("GET", "http://127.0.0.1/healthz#here", 400),
        ("GET", "http:/127.0.0.1/healthz", 404),
        ("GET", "http://127.0.0.1//healthz", 404),
        ("GET", "http://127.0.0.1/http://127.0.0.1/healthz", 404),
    ],
)
def test_what_is_no_resource_here_is_refused_and_says_so(
    client: RawClient, method: str, target: str, status: int
) -> None:
    answer = ask(client, method, target)
    assert answer.status == status
    assert answer.problem()["detail"]


ODD_HEADS = {
    "one header": lambda size: request("GET", "/healthz", f"X-Long: {'x' * size}"),
    "many headers": lambda size: request(
        "GET", "/healthz", *[f"X-{number}: {'x' * 90}" for number in range(size // 90)]
    ),
    "a long path": lambda size: request("GET", f"/{'x' * size}"),
    "a long query": lambda size: request("GET", f"/healthz?{'x' * size}"),
    "a whole url": lambda size: request("GET", f"http://127.0.0.1/{'x' * size}"),
    "a head of HEAD": lambda size: request("HEAD", "/healthz", f"X-Long: {'x' * size}"),
    "before a body": lambda size: request("POST", "/healthz", f"X: {'x' * size}", "Content-Length: 2", body=b"{}"),
    "bare line feeds": lambda size: request("GET", "/healthz", f"X: {'x' * size}").replace(b"\r\n", b"\n"),
}


@pytest.mark.parametrize("pieces", [1, 2, 7])
@pytest.mark.parametrize("size", [MAX_HEAD, 17 * 1024, 40 * 1024])
@pytest.mark.parametrize("kind", ODD_HEADS)
def test_a_head_beyond_the_bound_is_431_however_it_is_made_and_arrives(
    client: RawClient, kind: str, size: int, pieces: int
) -> None:
    sent = ODD_HEADS[kind](size)
    step = -(-len(sent) // pieces)
    parts = [sent[at : at + step] for at in range(0, len(sent), step)]
    try:
        client.send(*parts, pause=0.0 if pieces == 1 else 0.01)
    except ConnectionError:
        """The answer came before we had said everything, and the connection was closed behind it."""
    answer = client.answer()
    assert answer.status == 431
    assert answer.headers["connection"] == "close"
    assert str(MAX_HEAD) in answer.problem()["detail"]


def test_a_head_beyond_the_bound_behind_another_request_is_431_too(client: RawClient) -> None:
    client.send(request() + request("GET", "/healthz", "X-Long: " + "x" * 17 * 1024))
    assert client.answer().status == 200
    assert client.answer().status == 431


def test_a_large_body_behind_a_small_head_is_no_large_head(client: RawClient, shared_bell: WebhookClient) -> None:
    body = json.dumps(announcement(note="x" * 20_000)).encode()
    signed = f"X-Powernode-Signature: {shared_bell.sign(body).hex()}"
    assert ask(client, "POST", shared_bell.path, JSON, signed, f"Content-Length: {len(body)}", body=body).status == 202


def test_a_head_of_just_the_bound_is_read_in_one_piece_and_in_two(shared: ApiServer) -> None:
    bare = request("GET", "/healthz", "X-Long: ")
    sent = request("GET", "/healthz", "X-Long: " + "x" * (MAX_HEAD - len(bare)))
    assert len(sent) == MAX_HEAD
    for parts in ([sent], [sent[:9000], sent[9000:]]):
        with connected(shared.port) as one:
            one.send(*parts, pause=0.01)
            assert one.answer().status == 200
