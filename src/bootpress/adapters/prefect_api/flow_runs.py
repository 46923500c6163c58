"""Flow runs as Prefect's API shows them: find them, and set the states that no engine sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bootpress.adapters.prefect_api.api import PrefectApi, PrefectNotFound

PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class FlowRunSnapshot:
    """One flow run, as far as its worker looks at it."""

    id: UUID
    name: str
    state: str
    """The type of its state: RUNNING, PENDING, …"""
    since: datetime
    deployment_id: UUID | None
    worker: str | None
    """The resident worker that took it last."""


class FlowRuns:
    """The flow runs of one Prefect server."""

    def __init__(self, api: PrefectApi) -> None:
        self._api = api

    def find(self, run_id: UUID) -> FlowRunSnapshot | None:
        """Return a run as it is now, None if it was deleted."""
        try:
            return _seen(self._api.get(f"/flow_runs/{run_id}"))
        except PrefectNotFound:
            return None

    def crash(self, run_id: UUID, message: str) -> None:
        """Set a run to Crashed, unless it has ended already."""
        self._set(run_id, "CRASHED", "Crashed", message)

    def cancel(self, run_id: UUID, message: str) -> None:
        """Set a run to Cancelled, unless it has ended already."""
        self._set(run_id, "CANCELLED", "Cancelled", message)

    def find_cancel_requested(self, run_ids: Sequence[UUID]) -> list[dict[str, Any]]:
        """Return those of the given runs that somebody cancelled or suspended from outside: {id, state}."""
        criteria = {"id": {"any_": _texts(run_ids)}, "state": {"type": {"any_": ["CANCELLING", "CANCELLED", "PAUSED"]}}}
        found: list[dict[str, Any]] = self._api.post("/flow_runs/filter", {"flow_runs": criteria, "limit": PAGE})
        return [run for run in found if run["state"]["type"] != "PAUSED" or run["state"]["name"] == "Suspended"]

    def list_in_pool(self, pool: str, states: Sequence[str]) -> Iterator[FlowRunSnapshot]:
        """List a work pool's runs in the given types of state."""
        criteria = {"state": {"type": {"any_": list(states)}}}
        return self._filter(criteria, pool)

    def late_by_schedule(self, pool: str, before: datetime) -> Iterator[FlowRunSnapshot]:
        """List runs that a schedule made and whose time has passed, the newest first."""
        criteria = {
            "state": {"name": {"any_": ["Scheduled", "Late"]}},  # not Resuming, not AwaitingRetry
            "expected_start_time": {"before_": before.isoformat()},
        }
        return self._filter(criteria, pool, auto_scheduled=True)

    def cancel_all(self, run_ids: Sequence[UUID], message: str) -> None:
        """Cancel runs that have not begun, fifty to a call."""
        state = {"type": "CANCELLED", "name": "Cancelled", "message": message}
        for start in range(0, len(run_ids), 50):
            criteria = {"id": {"any_": _texts(run_ids[start : start + 50])}}
            body = {"flow_runs": criteria, "state": state, "limit": 50}
            self._api.post("/flow_runs/bulk_set_state", body)

    def _set(self, run_id: UUID, kind: str, name: str, message: str) -> None:
        # Not forced: Prefect refuses to move a run that has ended meanwhile, which is what we want.
        body = {"state": {"type": kind, "name": name, "message": message}}
        try:
            self._api.post(f"/flow_runs/{run_id}/set_state", body)
        except PrefectNotFound:
            return

    def _filter(
        self, criteria: dict[str, Any], pool: str, *, auto_scheduled: bool | None = None
    ) -> Iterator[FlowRunSnapshot]:
        offset = 0
        while True:
            body = {
                "flow_runs": criteria,
                "work_pools": {"name": {"any_": [pool]}},
                "sort": "EXPECTED_START_TIME_DESC",
                "limit": PAGE,
                "offset": offset,
            }
            page = self._api.post("/flow_runs/filter", body)
            yield from (_seen(run) for run in page if auto_scheduled in {None, run["auto_scheduled"]})
            if len(page) < PAGE:
                return
            offset += PAGE


def _seen(run: dict[str, Any]) -> FlowRunSnapshot:
    deployment = run.get("deployment_id")
    return FlowRunSnapshot(
        id=UUID(run["id"]),
        name=run["name"],
        state=run["state"]["type"],
        since=datetime.fromisoformat(run["state"]["timestamp"]),
        deployment_id=UUID(deployment) if deployment else None,
        worker=(run.get("infrastructure_pid") or "").rpartition(":")[0] or None,
    )


def _texts(ids: Sequence[UUID]) -> list[str]:
    return [str(one) for one in ids]
