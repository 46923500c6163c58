"""Start work in Prefect: flow runs of deployments, by name, with the caller's idempotency key."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

from bootpress.adapters.prefect_api.api import PrefectApi, PrefectNotFound
from bootpress.adapters.prefect_api.wakeup import notify_worker
from bootpress.core.errors import OrchestratorUnavailable
from bootpress.core.ports import JobKind, ResumeResult

DEPLOYMENTS: Final[Mapping[JobKind, tuple[str, str]]] = {
    JobKind.DELIVERY: ("ingest-publication/webhook", "delivery_id"),
    JobKind.BATCH: ("ingest-backlog/relay", "batch_id"),
    JobKind.BUILD: ("build-disk-image/dispatched", "build_id"),
    JobKind.BOOTSTRAP: ("bootstrap-disk-image-ci/operation", "saga_id"),
    JobKind.PROVISION_WORKER: ("provision-ci-worker/operation", "saga_id"),
    JobKind.TERMINATE_WORKER: ("terminate-ci-worker/operation", "saga_id"),
}
"""The deployment that does each kind of work, and the parameter that names its row."""
_ASLEEP: Final = "PAUSED"
_ENDED: Final = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED", "CANCELLING"})


class PrefectLauncher:
    """The port `Launcher` on Prefect's API; shared by threads.

    A key that Prefect knows returns the old run, so a call whose answer was lost is made again without harm. The
    worker that listens at `wakeup` is told.
    """

    def __init__(self, api: PrefectApi, *, wakeup: Path | None = None) -> None:
        self._api = api
        self._wakeup = wakeup
        self._ids: dict[str, str] = {}
        self._lock = threading.Lock()
        self._resuming = threading.Lock()

    def launch(self, work: JobKind, subject: UUID, *, key: UUID, run_name: str) -> UUID:
        """Start a run about one row, whose id is `subject`; return the flow run's id."""
        deployment, parameter = DEPLOYMENTS[work]
        return self._launch(deployment, {parameter: str(subject)}, key, run_name)

    def resume(self, run_id: UUID) -> ResumeResult:
        """Wake a run that waits for us; one at a time, as Prefect on SQLite takes it best.

        A call whose answer was lost is made again: then the run does not wait any more, and that is NOT_YET.
        """
        with self._resuming:
            try:  # first: of a run that it does not have, Prefect's resume answers 500
                state = self._api.get(f"/flow_runs/{run_id}")["state"]
            except PrefectNotFound:
                return ResumeResult.OVER
            if state["type"] in _ENDED:
                return ResumeResult.OVER
            # Between saying that it sleeps and leaving what it wants to be told, a run refuses too.
            if state["type"] != _ASLEEP or not self._resume(run_id):
                return ResumeResult.NOT_YET
        if self._wakeup is not None:
            notify_worker(self._wakeup)
        return ResumeResult.RESUMED

    def _resume(self, run_id: UUID) -> bool:
        answer = self._api.post(f"/flow_runs/{run_id}/resume", {"run_input": {}})
        return bool(answer["status"] == "ACCEPT")

    def _launch(self, deployment: str, parameters: dict[str, str], key: UUID, run_name: str) -> UUID:
        body = {"name": run_name, "parameters": parameters, "idempotency_key": str(key), "state": {"type": "SCHEDULED"}}
        try:
            run = self._create(self._deployment_id(deployment), body)
        except PrefectNotFound:  # deleted and deployed again under a new id
            self._forget(deployment)
            run = self._create(self._deployment_id(deployment), body)
        if self._wakeup is not None:
            notify_worker(self._wakeup)
        return run

    def _create(self, deployment_id: str, body: Mapping[str, object]) -> UUID:
        run = self._api.post(f"/deployments/{deployment_id}/create_flow_run", body)
        return UUID(run["id"])

    def _deployment_id(self, deployment: str) -> str:
        with self._lock:
            known = self._ids.get(deployment)
        if known is not None:
            return known
        try:
            found: str = self._api.get(f"/deployments/name/{deployment}")["id"]
        except PrefectNotFound as error:
            raise OrchestratorUnavailable(
                f"Prefect has no deployment {deployment}", hint="apply prefect.yaml: prefect deploy --all"
            ) from error
        with self._lock:
            self._ids[deployment] = found
        return found

    def _forget(self, deployment: str) -> None:
        with self._lock:
            self._ids.pop(deployment, None)
