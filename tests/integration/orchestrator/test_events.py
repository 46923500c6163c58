"""Events on a real Prefect server."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from bootpress.adapters.orchestrator.api import PrefectApi
from bootpress.adapters.orchestrator.events import PrefectEvents
from bootpress.core.errors import OrchestratorUnavailable
from bootpress.core.events.service import EMIT_AT_ONCE
from bootpress.core.ports import OutgoingEvent
from tests.support.ports import free_port
from tests.support.processes import wait_for


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


def test_an_event_that_cannot_be_handed_over_is_an_error() -> None:
    events = PrefectEvents(PrefectApi(f"http://127.0.0.1:{free_port()}/api"))

    with pytest.raises(OrchestratorUnavailable):
        events.emit([outgoing(uuid.uuid4(), "any")])
