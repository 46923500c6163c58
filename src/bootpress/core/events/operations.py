"""Public operations on events."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from bootpress.core.context import Caller, Context
from bootpress.core.events import service
from bootpress.core.events.models import Event
from bootpress.core.operation import Limit, Moment, OperationResponse, PageAnswer, PageRequest, Text, When, operation
from bootpress.core.platforms.service import find_platform


class RecentEvents(PageRequest):
    """Which events to list."""

    kind_prefix: Text | None = None
    limit: Limit = 20
    since: When | None = None
    platform: Text | None = None
    """A platform's id or slug."""


class EventView(OperationResponse):
    """One event."""

    id: UUID
    kind: str
    severity: str
    source: str
    actor: str
    payload: dict[str, Any]
    occurred_at: Moment

    @classmethod
    def of(cls, event: Event) -> EventView:
        """Show a row."""
        return cls(
            id=event.id,
            kind=event.kind,
            severity=event.severity,
            source=event.source,
            actor=event.actor,
            payload=event.payload,
            occurred_at=event.occurred_at,
        )


class EventList(PageAnswer):
    """Events, newest first."""

    events: list[EventView]


@operation(permission="system.events.read", changes=False)
def recent_events(context: Context, caller: Caller, request: RecentEvents) -> EventList:
    """List what happened to disk images, newest first."""
    platform_id = None
    if request.platform is not None:
        with context.catalog.read_session() as session:
            platform_id = find_platform(session, caller.account_id, request.platform).id
    events, next_cursor = service.recent(
        context,
        account_id=caller.account_id,
        limit=request.limit,
        cursor=request.cursor,
        kind_prefix=request.kind_prefix,
        since=request.since,
        node_platform_id=platform_id,
    )
    return EventList(events=[EventView.of(event) for event in events], next_cursor=next_cursor)
