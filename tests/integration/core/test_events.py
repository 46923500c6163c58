"""Events: in the order they happened, handed over once or under one id, listed by account."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select

from bootpress.core.errors import InvalidInput, OrchestratorUnavailable
from bootpress.core.events import service
from bootpress.core.events.models import OutboxEntry
from tests.support.core_harness import CoreHarness
from tests.support.fakes import FakeEventSink


def happen(world: CoreHarness, count: int) -> list[str]:
    """Let things happen; return the ids of their events, oldest first."""
    for _ in range(count):
        world.call("system_rotate_disk_image_webhook_secret", webhook_id=str(world.webhook_id))
    return [str(event.id) for event in world.events()]


def waiting(world: CoreHarness) -> int:
    with world.catalog.read_session() as session:
        return session.scalar(select(func.count()).select_from(OutboxEntry)) or 0


def test_events_are_handed_over_once_in_the_order_they_happened(world: CoreHarness) -> None:
    ids = happen(world, 5)
    assert service.emit_pending(world.context, limit=3) == 3
    assert service.emit_pending(world.context) == 2
    assert service.emit_pending(world.context) == 0
    assert [str(one.id) for one in world.sink.emitted] == ids
    assert world.sink.calls == 2  # a page each: a listener that is slow is slow once
    first = world.events()[0]
    handed = world.sink.emitted[0]
    assert (handed.kind, handed.account_id, handed.occurred_at, handed.payload) == (
        first.kind, first.account_id, first.occurred_at, first.payload,
    )  # fmt: skip


def test_what_a_sink_does_not_take_stays_in_the_outbox(world: CoreHarness) -> None:
    ids = happen(world, 3)
    with world.sink.switched_off(), pytest.raises(OrchestratorUnavailable):
        service.emit_pending(world.context)
    assert waiting(world) == 3
    assert service.emit_pending(world.context) == 3
    assert [str(one.id) for one in world.sink.emitted] == ids


def test_a_sink_that_fails_midway_keeps_what_it_took(world: CoreHarness) -> None:
    ids = happen(world, 3)
    service.emit_pending(world.context, limit=1)
    world.sink.failures = 1
    with pytest.raises(OrchestratorUnavailable):
        service.emit_pending(world.context)
    assert waiting(world) == 2
    service.emit_pending(world.context)
    assert [str(one.id) for one in world.sink.emitted] == ids
    assert waiting(world) == 0


def test_an_event_that_a_sink_never_takes_holds_up_no_other(
    world: CoreHarness, caplog: pytest.LogCaptureFixture
) -> None:
    ids = happen(world, 9)
    bad = [ids[3], ids[8]]
    world.sink.unreadable = {UUID(one) for one in bad}
    assert service.emit_pending(world.context) == 9
    assert [str(one.id) for one in world.sink.emitted] == [one for one in ids if one not in bad]
    assert waiting(world) == 0
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [one.split()[1] for one in said] == bad
    assert all(one.endswith("the fake listener cannot read one of these") for one in said)


def test_a_sink_that_goes_away_between_parts_keeps_what_it_took(world: CoreHarness) -> None:
    class Leaving(FakeEventSink):
        """Goes away once it took something."""

        def answer(self) -> None:
            self.away = bool(self.emitted)
            super().answer()

    ids = happen(world, 4)
    sink = Leaving()
    sink.unreadable = {UUID(ids[3])}
    with pytest.raises(OrchestratorUnavailable):
        service.emit_pending(replace(world.context, event_sink=sink))
    assert [str(one.id) for one in sink.emitted] == ids[:2]
    assert waiting(world) == 2
    service.emit_pending(world.context)
    assert [str(one.id) for one in world.sink.emitted] == ids[2:]


def test_a_crash_between_sink_and_outbox_sends_twice_under_one_id(world: CoreHarness) -> None:
    [event_id] = happen(world, 1)
    service.emit_pending(world.context)
    with world.catalog.transaction() as session:
        event = world.events()[0]
        session.add(OutboxEntry(event_id=event.id, occurred_at=event.occurred_at))
    service.emit_pending(world.context)
    assert [str(one.id) for one in world.sink.emitted] == [event_id] * 2


def test_events_are_listed_newest_first_and_can_be_narrowed_down(world: CoreHarness) -> None:
    platform_id = world.platform()
    world.publish()
    world.clock.advance(hours=1)
    happen(world, 2)
    listed = world.call("recent_events")["events"]
    assert [event["id"] for event in listed] == [str(event.id) for event in reversed(world.events())]
    assert len(world.call("recent_events", limit=1)["events"]) == 1
    since = (world.clock.now() - timedelta(minutes=1)).isoformat()
    assert len(world.call("recent_events", since=since)["events"]) == 2
    assert len(world.call("recent_events", kind_prefix="system.disk_image_pub")["events"]) == 1
    assert world.call("recent_events", kind_prefix="system.disk%image")["events"] == []
    for platform in (str(platform_id), "edge"):
        kinds = [event["kind"] for event in world.call("recent_events", platform=platform)["events"]]
        assert kinds == ["system.disk_image_promoted", "system.disk_image_published"]
    assert {event["actor"] for event in listed} == {"webhook:ci", "acme's operator"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", 0),
        ("limit", 501),
        ("since", "2025-06-01T12:00:00"),
        ("since", "0001-01-01T00:00:00+14:00"),
        ("kind_prefix", "a\0"),
        ("kind_prefix", "\ud800"),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_name(world: CoreHarness, field: str, value: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        world.call("recent_events", **{field: value})
    assert caught.value.field == field


def test_no_secret_is_in_an_event(world: CoreHarness) -> None:
    made = world.call("system_rotate_disk_image_webhook_secret", webhook_id=str(world.webhook_id))
    assert made["webhook_secret"] not in str([event.payload for event in world.events()])
