"""The guard in front of Prefect, in the process that serves: a version of Prefect that goes around it fails here."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import httpx
import prefect
import pytest

from bootpress.adapters.prefect_api.guard import KEY
from tests.support.prefect_server import PrefectServer
from tests.support.raw_http import RawClient

SOCKETS = ("/api/events/in", "/api/events/out", "/api/logs/out", "/api/task_runs/subscriptions/scheduled")


def base_of(server: PrefectServer) -> str:
    return server.api_url.removesuffix("/api")


def handshake(server: PrefectServer, path: str, *lines: str) -> str:
    """Ask for a WebSocket; return the status line."""
    url = httpx.URL(server.api_url)
    assert url.port is not None
    key = base64.b64encode(os.urandom(16)).decode()
    given = [
        f"GET {path} HTTP/1.1",
        *(lines if any(line.startswith("Host:") for line in lines) else (f"Host: 127.0.0.1:{url.port}", *lines)),
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
    ]
    client = RawClient(url.port)
    client.send("".join(f"{line}\r\n" for line in [*given, ""]).encode())
    answer = client.socket.recv(4096).decode()
    client.socket.close()
    return answer.partition("\r\n")[0]


@pytest.mark.parametrize("path", ["/api/health", "/api/variables/filter", "/", "/docs", "/ui-settings", "/nowhere"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_another_host_or_origin_is_refused_on_every_path(server: PrefectServer, path: str, method: str) -> None:
    url = base_of(server) + path
    wanted = {"Access-Control-Request-Method": "POST"}
    for headers, word in (
        ({"Host": "rebind.test"}, "Host"),
        ({"Origin": "http://127.0.0.1:1", **wanted}, "origin"),
        ({"Origin": "null"}, "origin"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, "link"),
    ):
        answer = httpx.request(method, url, headers=headers)
        assert answer.status_code == 403, (headers, answer.text)
        assert "Refused" in answer.text
        assert word in answer.text
        assert not [name for name in answer.headers if name.startswith("access-control")]


SIMPLE = ["text/plain", "TEXT/PLAIN; charset=utf-8", "application/x-www-form-urlencoded", "", None]


@pytest.mark.parametrize("kind", SIMPLE)
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_that_a_page_may_send_anywhere_is_refused(server: PrefectServer, kind: str | None, framing: str) -> None:
    url, body = f"{server.api_url}/variables/", b'{"name":"plain","value":"x"}'
    headers = {"Content-Type": kind} if kind is not None else {}
    answer = httpx.post(url, content=iter([body]) if framing == "chunked" else body, headers=headers)
    assert answer.status_code == 415
    found = httpx.post(f"{server.api_url}/variables/filter", json={}).json()
    assert "plain" not in {one["name"] for one in found}


def test_its_own_page_and_clients_are_answered_and_nobody_else_is_permitted(server: PrefectServer) -> None:
    own = {"Origin": base_of(server), "Sec-Fetch-Site": "same-origin"}
    for headers in ({}, own):
        answer = httpx.post(f"{server.api_url}/flows/filter", json={}, headers=headers)
        assert answer.status_code == 200
        assert not [name for name in answer.headers if name.startswith("access-control")]
    tunnel = {"Host": "localhost:14200", "Origin": "http://localhost:14200"}
    assert httpx.post(f"{server.api_url}/flows/filter", json={}, headers=tunnel).status_code == 200


@pytest.mark.parametrize("path", SOCKETS)
def test_a_websocket_of_another_page_is_refused(server: PrefectServer, path: str) -> None:
    assert " 101 " in handshake(server, path)
    assert " 101 " in handshake(server, path, f"Origin: {base_of(server)}")
    for lines in (
        ("Origin: http://127.0.0.1:1",),
        ("Origin: null",),
        ("Host: rebind.test",),
        ("Host: rebind.test", "Origin: http://rebind.test"),
        ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: websocket"),
    ):
        assert " 403 " in handshake(server, path, *lines), lines


def test_no_server_of_prefects_own_is_started_without_a_folder_of_codes(server: PrefectServer) -> None:
    answer = httpx.get(f"{base_of(server)}/bootpress/sign-in", params={"code": "x" * 43})
    assert "bootpress ui" not in answer.text


@pytest.mark.parametrize("ui", ["ui", "ui-v2"])
def test_prefects_ui_keeps_the_string_where_the_sign_in_puts_it(ui: str) -> None:
    scripts = (Path(prefect.__file__).parent / "server" / ui / "assets").glob("*.js")
    assert any(KEY in script.read_text() for script in scripts)
