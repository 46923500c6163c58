"""Events on a real Prefect server."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import UTC, datetime
from typing import cast

import pytest

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.events import PrefectEvents
from bootpress.core.errors import OrchestratorUnavailable, Rejected
from bootpress.core.events.service import EMIT_AT_ONCE
from bootpress.core.ports import OutgoingEvent
from tests.support.ports import free_port
from tests.support.processes import wait_for
from tests.support.scripted_server import ScriptedServer


def seen(api: PrefectApi, account_id: uuid.UUID) -> list[dict[str, object]]:
    criteria = {"filter": {"resource": {"id": [f"bootpress.account.{account_id}"]}}}
    found: list[dict[str, object]] = api.post("/events/filter", criteria)["events"]
    return found


def outgoing(account_id: uuid.UUID, kind: str, **payload: object) -> OutgoingEvent:
    return OutgoingEvent(uuid.uuid4(), kind, account_id, datetime.now(UTC), payload)


def test_events_arrive_under_their_own_ids_and_twice_is_once(api: PrefectApi) -> None:
    account_id = uuid.uuid4()
    first = outgoing(account_id, "system.disk_image_published", platform_slug="slug", size_bytes=3)
    later = outgoing(account_id, "system.disk_image_retired")
    events = PrefectEvents(api)

    events.emit([first])
    events.emit([first, later])

    wait_for(lambda: len(seen(api, account_id)) > 1, what="the events are stored")
    found = {event["id"]: event for event in seen(api, account_id)}
    assert len(seen(api, account_id)) == 2
    assert set(found) == {str(first.id), str(later.id)}
    stored = found[str(first.id)]
    assert stored["event"] == "system.disk_image_published"
    assert stored["payload"] == {"platform_slug": "slug", "size_bytes": 3}
    assert datetime.fromisoformat(str(stored["occurred"])) == first.occurred_at


def test_a_whole_page_of_events_is_one_call_that_prefect_takes(api: PrefectApi) -> None:
    account_id = uuid.uuid4()
    reason = "a reason as long as they get " * 68
    page = [outgoing(account_id, "system.disk_image_publish_failed", reason=reason) for _ in range(EMIT_AT_ONCE)]
    PrefectEvents(api).emit(page)
    criteria = {"filter": {"resource": {"id": [f"bootpress.account.{account_id}"]}}}
    wait_for(lambda: api.post("/events/filter", criteria)["total"] == EMIT_AT_ONCE, what="the page is stored")


def test_an_event_that_prefect_cannot_read_is_told_from_a_prefect_that_is_away(api: PrefectApi) -> None:
    nameless = outgoing(uuid.uuid4(), cast(str, None))  # as a defect of ours might make it
    with pytest.raises(Rejected, match="Prefect refused POST /events with 422"):
        PrefectEvents(api).emit([outgoing(uuid.uuid4(), "any"), nameless])


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500])
def test_what_prefect_says_about_us_is_not_about_the_event(status: int) -> None:
    scripted = ScriptedServer()
    scripted.answers = [(status, b"{}")] * 100
    with (
        closing(scripted),
        closing(PrefectApi(scripted.url, call_seconds=1)) as api,
        pytest.raises(OrchestratorUnavailable),
    ):
        PrefectEvents(api).emit([outgoing(uuid.uuid4(), "any")])


def test_an_event_that_cannot_be_handed_over_is_an_error() -> None:
    events = PrefectEvents(PrefectApi(f"http://127.0.0.1:{free_port()}/api"))

    with pytest.raises(OrchestratorUnavailable):
        events.emit([outgoing(uuid.uuid4(), "any")])
