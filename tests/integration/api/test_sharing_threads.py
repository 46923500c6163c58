"""Ordinary calls of one account, with however many tokens, hold up nobody else: threads are divided among accounts.

A row that the test keeps locked makes calls slow for as long as it likes, so no clock decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from bootpress.core.platforms.service import lock_platform
from bootpress.entrypoints.api.operations import AUTHENTICATING, ORDINARY
from tests.support.api import ApiServer, running_press
from tests.support.processes import wait_for

TOKENS = 5
MORE_THAN_THREADS = ORDINARY.all + AUTHENTICATING + 5
MORE_THAN_WAIT = ORDINARY.per_account + ORDINARY.waiting + 1
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@dataclass(frozen=True)
class Loud:
    """An account with several tokens, whose calls for changes of a platform wait for a row."""

    press: ApiServer
    http: httpx.Client
    platform_id: str
    tokens: list[str]

    def change(self, number: int) -> httpx.Response:
        """Change the platform, with one of the tokens."""
        headers = {"Authorization": f"Bearer {self.tokens[number % len(self.tokens)]}"}
        fields = {"id": self.platform_id, "name": "loud"}
        return self.http.post("/api/v1/operations/system_update_node_platform", json=fields, headers=headers)

    @contextmanager
    def calling(self, count: int) -> Iterator[list[Future[httpx.Response]]]:
        """Let so many calls wait for the row; they end with the block."""
        with ThreadPoolExecutor(count) as pool, self._locked():
            calls = [pool.submit(self.change, number) for number in range(count)]
            wait_for(self._threads_are_held, what="calls hold all threads that they get")
            yield calls

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.press.context.catalog.transaction() as session:
            lock_platform(session, UUID(self.platform_id))
            yield

    def _threads_are_held(self) -> bool:
        with self.press.context.catalog.read_session() as session:
            return int(session.scalar(text(BLOCKED)) or 0) >= ORDINARY.per_account


@pytest.fixture
def loud(postgres_catalog: str) -> Iterator[Loud]:
    limits = httpx.Limits(max_connections=MORE_THAN_WAIT)
    with (
        running_press(postgres_catalog) as press,
        httpx.Client(base_url=press.url, limits=limits, timeout=90) as http,
    ):
        yield Loud(press, http, press.create_platform()["id"], [press.mint("*") for _ in range(TOKENS)])


def page(press: ApiServer, token: str) -> httpx.Response:
    """Log in to the console and open its first page, with the cookie that a browser sends over HTTPS alone."""
    begun = press.http.post("/app/login", data={"token": token}, headers=SAME_SITE)
    assert begun.status_code == 303
    cookie = begun.headers["set-cookie"].partition(";")[0]
    return press.http.get("/app/publications", headers={"Cookie": cookie})


def test_slow_calls_of_one_account_hold_up_nobody_else(loud: Loud) -> None:
    press = loud.press
    bell, other = press.provision(), press.mint("*", account="somebody-else")
    with loud.calling(MORE_THAN_THREADS) as calls:
        assert press.call("system_list_node_platforms", token=other).json()["node_platforms"] == []
        assert page(press, other).status_code == 200
        assert press.http.get("/healthz").status_code == 200
        assert press.http.get("/readyz").status_code == 200
        for token in (other, press.token):
            assert press.http.get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert bell.ring().status_code == 202
        assert press.call("system_list_node_platforms", token="bp_unknown").status_code == 401
        assert not any(call.done() for call in calls)
    assert {call.result().status_code for call in calls} == {200}


def test_an_account_whose_queue_is_full_is_told_and_its_pages_count_with_its_calls(loud: Loud) -> None:
    press, other = loud.press, loud.press.mint("*", account="somebody-else")
    with loud.calling(MORE_THAN_WAIT) as calls:
        wait_for(lambda: any(call.done() for call in calls), what="a call is turned away")
        refused = next(call for call in calls if call.done()).result()
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.json()["type"] == "urn:bootpress:problem:rate-limited"
        assert "system_update_node_platform: 100 calls of this account wait" in refused.json()["detail"]
        assert "5 of 12 threads" in refused.json()["hint"]
        shown = page(press, loud.tokens[0])
        assert shown.status_code == 429
        assert "fewer at once" in shown.text
        assert page(press, other).status_code == 200
        assert press.call("system_list_node_platforms", token=other).status_code == 200
    statuses = [call.result().status_code for call in calls]
    assert statuses.count(429) == 1
    assert statuses.count(200) == MORE_THAN_WAIT - 1
    assert press.call("system_list_node_platforms").status_code == 200
