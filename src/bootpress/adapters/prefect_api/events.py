"""Hand our events to Prefect, whose automations fan them out; synchronously, so that a failure is seen."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from bootpress.adapters.prefect_api.api import PrefectApi, PrefectRequestError
from bootpress.core.errors import Rejected
from bootpress.core.ports import OutgoingEvent

_NEVER: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY}
)
"""What Prefect says about the events; other refusals are about us or the server, and pass."""


class PrefectEvents:
    """The port `EventSink` on Prefect's events API; our event's id is Prefect's, so a repeat is the same event."""

    def __init__(self, api: PrefectApi) -> None:
        self._api = api

    def emit(self, events: Sequence[OutgoingEvent]) -> None:
        """Hand events over in one call; raises OrchestratorUnavailable, and Rejected for what Prefect cannot read."""
        try:
            self._api.post("/events", [_as_prefects(event) for event in events])
        except PrefectRequestError as error:
            if error.status in _NEVER:
                raise Rejected(error.message) from error
            raise


def _as_prefects(event: OutgoingEvent) -> dict[str, Any]:
    return {
        "id": str(event.id),
        "event": event.kind,
        "occurred": event.occurred_at.isoformat(),
        "resource": {
            "prefect.resource.id": f"bootpress.account.{event.account_id}",
            "prefect.resource.name": "bootpress",
        },
        "payload": dict(event.payload),
    }
