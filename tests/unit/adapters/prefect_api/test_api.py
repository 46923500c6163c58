"""Calls to Prefect's API: what is tried again, what is not, and what no error says."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator

import pytest

from bootpress.adapters.prefect_api.api import PrefectApi, PrefectNotFound, PrefectRequestError
from bootpress.core.errors import OrchestratorUnavailable
from tests.support.scripted_server import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    running = ScriptedServer()
    yield running
    running.close()


@pytest.fixture
def api(server: ScriptedServer) -> Iterator[PrefectApi]:
    client = PrefectApi(server.url, call_seconds=3)
    yield client
    client.close()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(api: PrefectApi, server: ScriptedServer, status: int) -> None:
    server.answers = [(status, b""), (status, b""), (200, b'{"id": 1}')]

    assert api.post("/thing", {"key": "same"}) == {"id": 1}

    assert [json.loads(body) for *_, body in server.seen] == [{"key": "same"}] * 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
def test_a_refusal_is_final_and_never_quotes_what_was_refused(
    api: PrefectApi, server: ScriptedServer, status: int
) -> None:
    server.answers = [(status, b'{"detail": "token hunter2 is wrong"}')]

    with pytest.raises(PrefectRequestError) as caught:
        api.post("/thing", {"token": "hunter2"})

    assert len(server.seen) == 1
    assert caught.value.status == status
    assert isinstance(caught.value, PrefectNotFound) == (status == 404)
    assert "hunter2" not in str(caught.value)


def test_a_server_that_stays_busy_is_given_up_in_time(api: PrefectApi, server: ScriptedServer) -> None:
    server.answers = [(503, b"")] * 100
    began = time.monotonic()

    with pytest.raises(OrchestratorUnavailable, match="503"):
        api.get("/thing")

    assert time.monotonic() - began < 3.5
    assert 3 < len(server.seen) < 20


def test_a_server_that_does_not_answer_is_given_up_in_time(server: ScriptedServer) -> None:
    server.seconds = 1.5
    api = PrefectApi(server.url, call_seconds=0.5)
    began = time.monotonic()

    with pytest.raises(OrchestratorUnavailable, match="did not answer GET /thing: ReadTimeout"):
        api.get("/thing")

    assert time.monotonic() - began < 1.2
    api.close()


def test_what_is_not_prefect_is_unavailable(api: PrefectApi, server: ScriptedServer) -> None:
    server.answers = [(200, b"<html>a portal</html>")] * 100

    with pytest.raises(OrchestratorUnavailable, match="not Prefect's API"):
        api.get("/thing")


def test_no_more_calls_are_under_way_than_allowed(server: ScriptedServer) -> None:
    server.seconds = 0.1
    api = PrefectApi(server.url, in_flight=2)
    threads = [threading.Thread(target=api.get, args=("/thing",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(server.seen) == 6
    assert server.most == 2
    api.close()


def test_calls_that_wait_for_a_place_end_in_time_too(server: ScriptedServer) -> None:
    server.seconds = 3
    api = PrefectApi(server.url, in_flight=1, call_seconds=0.5)
    ended: list[float] = []

    def call() -> None:
        with pytest.raises(OrchestratorUnavailable):
            api.get("/thing")
        ended.append(time.monotonic())

    threads = [threading.Thread(target=call) for _ in range(4)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ended) == 4
    assert max(ended) - began < 1.2
    api.close()


def test_the_credential_of_the_environment_is_sent_and_never_shown(server: ScriptedServer) -> None:
    api = PrefectApi.from_environment({"PREFECT_API_URL": server.url, "PREFECT_API_AUTH_STRING": "admin:hunter2"})

    api.get("/thing")

    assert server.seen[0][2] == "Basic " + base64.b64encode(b"admin:hunter2").decode()
    assert "hunter2" not in repr(api) + repr(vars(api))
    api.close()


def test_without_a_url_nothing_is_guessed() -> None:
    with pytest.raises(OrchestratorUnavailable, match="PREFECT_API_URL is not set"):
        PrefectApi.from_environment({})
