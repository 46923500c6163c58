"""Events on a real Prefect server."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from bootpress.adapters.orchestrator.api import PrefectApi
from bootpress.adapters.orchestrator.events import PrefectEvents
from bootpress.core.errors import OrchestratorUnavailable
from tests.support.ports import free_port
from tests.support.processes import wait_for


def seen(api: PrefectApi, account_id: uuid.UUID) -> list[dict[str, object]]:
    criteria = {"filter": {"resource": {"id": [f"bootpress.account.{account_id}"]}}}
    found: list[dict[str, object]] = api.post("/events/filter", criteria)["events"]
    return found


def test_an_event_arrives_under_its_own_id_and_twice_is_once(api: PrefectApi) -> None:
    account_id, event_id, later_id = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    events = PrefectEvents(api)
    occurred = datetime.now(UTC)

    for _ in range(2):
        events.emit(
            event_id=event_id,
            kind="system.disk_image_published",
            account_id=account_id,
            occurred_at=occurred,
            payload={"platform_slug": "slug", "size_bytes": 3},
        )
    events.emit(
        event_id=later_id, kind="system.disk_image_retired", account_id=account_id, occurred_at=occurred, payload={}
    )

    wait_for(lambda: len(seen(api, account_id)) > 1, what="the events are stored")
    found = {event["id"]: event for event in seen(api, account_id)}
    assert len(seen(api, account_id)) == 2
    assert set(found) == {str(event_id), str(later_id)}
    first = found[str(event_id)]
    assert first["event"] == "system.disk_image_published"
    assert first["payload"] == {"platform_slug": "slug", "size_bytes": 3}
    assert datetime.fromisoformat(str(first["occurred"])) == occurred


def test_an_event_that_cannot_be_handed_over_is_an_error() -> None:
    events = PrefectEvents(PrefectApi(f"http://127.0.0.1:{free_port()}/api"))

    with pytest.raises(OrchestratorUnavailable):
        events.emit(
            event_id=uuid.uuid4(), kind="any", account_id=uuid.uuid4(), occurred_at=datetime.now(UTC), payload={}
        )
