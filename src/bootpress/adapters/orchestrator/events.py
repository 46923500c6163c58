"""Hand our events to Prefect, whose automations fan them out; synchronously, so that a failure is seen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from bootpress.adapters.orchestrator.api import PrefectApi


class PrefectEvents:
    """The port `EventSink` on Prefect's events API; our event's id is Prefect's, so a repeat is the same event."""

    def __init__(self, api: PrefectApi) -> None:
        self._api = api

    def emit(
        self, *, event_id: UUID, kind: str, account_id: UUID, occurred_at: datetime, payload: Mapping[str, Any]
    ) -> None:
        """Hand one event over; raises OrchestratorUnavailable."""
        event = {
            "id": str(event_id),
            "event": kind,
            "occurred": occurred_at.isoformat(),
            "resource": {
                "prefect.resource.id": f"bootpress.account.{account_id}",
                "prefect.resource.name": "bootpress",
            },
            "payload": dict(payload),
        }
        self._api.post("/events", [event])
