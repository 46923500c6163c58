"""Calls that wait for somebody else's server hold up nobody else: they have places of their own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from bootpress.entrypoints.api.operations import ORDINARY
from tests.support.api import ApiServer
from tests.support.processes import wait_for
from tests.support.silent_server import SilentServer, silent_server

CALLS = ORDINARY.all + 8


@contextmanager
def waiting_calls(press: ApiServer, silent: SilentServer) -> Iterator[list[Future[httpx.Response]]]:
    """Let one account connect to a silent server more often than ordinary calls have threads, until the block ends."""
    with ThreadPoolExecutor(CALLS) as pool:
        calls = [
            pool.submit(connect, press, f"silent-{number}", silent.address, press.token) for number in range(CALLS)
        ]
        try:
            wait_for(lambda: silent.count > 0, what="a call waits for the silent server")
            yield calls
        finally:
            silent.hang_up()


def connect(press: ApiServer, name: str, host: str, token: str) -> httpx.Response:
    fields = {"name": name, "host": host, "plain_http": True}
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(
        f"{press.url}/api/v1/operations/system_connect_registry", json=fields, headers=headers, timeout=90
    )


def test_calls_to_a_silent_server_hold_up_no_other_operation_and_no_other_account(press: ApiServer) -> None:
    other = press.mint("*", account="somebody-else")
    with silent_server() as silent, waiting_calls(press, silent) as calls:
        assert press.call("system_list_node_platforms").status_code == 200
        assert press.http.get("/healthz").status_code == 200
        assert press.call("list_gitea_workflow_runs", {"repo": "a/b"}).status_code == 409  # no forge: it was asked
        before = silent.count
        theirs = threading.Thread(target=connect, args=(press, "mine", silent.address, other), daemon=True)
        theirs.start()
        wait_for(lambda: silent.count > before, what="the other account's call reaches the server")
        assert not all(call.done() for call in calls)  # it was answered to none of them yet


def test_who_finds_no_place_is_told_when_to_come_back(press: ApiServer) -> None:
    with silent_server() as silent, waiting_calls(press, silent) as calls:
        wait_for(lambda: any(call.done() for call in calls), what="a call is turned away")
        answer = next(call for call in calls if call.done()).result()
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["type"] == "urn:bootpress:problem:rate-limited"
        assert "system_connect_registry" in answer.json()["detail"]
    assert silent.count < CALLS


@pytest.mark.parametrize("round_", range(2))
def test_places_are_given_back(press: ApiServer, round_: int) -> None:
    with silent_server() as silent, waiting_calls(press, silent):
        pass
    with socket.create_server(("127.0.0.1", 0)) as gone:
        host = f"127.0.0.1:{gone.getsockname()[1]}"
    assert connect(press, f"gone-{round_}", host, press.token).status_code == 503
