"""The work pool type `resident`: flow runs on threads of a worker that is already up.

A stock process worker takes 8-18 s from a call to the first line of the flow, this one well under a second. Prefect
finds the type through the entry point group `prefect.collections`.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import httpx
from prefect.settings import get_current_settings
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult
from pydantic import PrivateAttr

from bootpress.adapters.orchestrator.api import PrefectApi
from bootpress.adapters.orchestrator.flow_runs import FlowRuns
from bootpress.adapters.orchestrator.housekeeping import LOST_AFTER, cancel_missed, crash_lost, crash_orphans
from bootpress.adapters.orchestrator.running import LiveRuns
from bootpress.core.errors import OrchestratorUnavailable

if TYPE_CHECKING:
    from prefect.client.schemas.objects import Flow, FlowRun, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse, WorkerFlowRunResponse

TYPE: Final = "resident"
DEFAULT_LIMIT: Final = 16
MAX_PAUSE_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 1.0


class ResidentConfiguration(BaseJobConfiguration):
    """What a run needs to begin: its deployment's entrypoint. There is no infrastructure to configure."""

    _entrypoint: str | None = PrivateAttr(default=None)

    @property
    def entrypoint(self) -> str | None:
        """Return where the flow is, as the deployment says."""
        return self._entrypoint

    def prepare_for_flow_run(
        self,
        flow_run: FlowRun,
        deployment: DeploymentResponse | None = None,
        flow: Flow | None = None,
        work_pool: WorkPool | None = None,
        worker_name: str | None = None,
        worker_id: UUID | None = None,
    ) -> None:
        """Take the entrypoint over, beside what Prefect prepares for its events."""
        super().prepare_for_flow_run(flow_run, deployment, flow, work_pool, worker_name, worker_id)
        self._entrypoint = deployment.entrypoint if deployment else None


class ResidentResult(BaseWorkerResult):
    """The end of a run; its state was set on the way."""


class ResidentWorker(BaseWorker[ResidentConfiguration, BaseVariables, ResidentResult]):
    """Polls a work pool and runs its flow runs on threads of this process, at most `limit` at once."""

    type = TYPE
    job_configuration = ResidentConfiguration
    _description = "Runs flow runs on threads of a worker that is already up: no process to start, no container."

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["limit"] = kwargs.get("limit") or DEFAULT_LIMIT
        kwargs["prefetch_seconds"] = 0  # a thread is not taken for a run before its time
        super().__init__(*args, **kwargs)
        self._threads = ThreadPoolExecutor(kwargs["limit"], thread_name_prefix="flow-run")
        self._flow_runs = FlowRuns(_api_of_settings())
        self.live_runs = LiveRuns(self._flow_runs)
        self.has_polled = threading.Event()
        self.is_draining = threading.Event()
        self._is_swept = False
        self._failures = 0
        self._not_before = 0.0

    def wait_until_idle(self, seconds: float) -> None:
        """Wait until no run is on a thread, or on its way to one, but no longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while (self.live_runs.ids or self._submitting_flow_run_ids) and time.monotonic() < deadline:
            time.sleep(0.1)

    @classmethod
    def get_default_base_job_template(cls) -> dict[str, Any]:
        """Return a template without variables: threads share one environment."""
        return {"job_configuration": {"labels": {}}, "variables": {"type": "object", "properties": {}}}

    async def setup(self) -> None:
        """Start looking after the runs as soon as there may be any."""
        await super().setup()
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    async def run(
        self, flow_run: FlowRun, configuration: ResidentConfiguration, task_status: Any = None
    ) -> ResidentResult:
        """Run a flow run on a thread and wait for its end."""
        identifier = f"{self.name}:{os.getpid()}"
        if task_status is not None:
            task_status.started(identifier)
        await asyncio.get_running_loop().run_in_executor(
            self._threads,
            contextvars.copy_context().run,
            self.live_runs.execute,
            flow_run,
            configuration.entrypoint,
        )
        return ResidentResult(identifier=identifier, status_code=0)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Poll once; while Prefect is away the worker polls more slowly, and goes on."""
        if self.is_draining.is_set() or time.monotonic() < self._not_before:
            return []
        try:
            if not self._is_swept:
                await asyncio.to_thread(self._sweep)
            submitted = await super().get_and_submit_flow_runs()
        except (httpx.HTTPError, OrchestratorUnavailable) as error:
            self._slow_down(error)
            return []
        self._failures = 0
        if self._has_successfully_synced:
            self.has_polled.set()
        return submitted

    async def _submit_scheduled_flow_runs(self, flow_run_response: list[WorkerFlowRunResponse]) -> list[FlowRun]:
        """Leave a run whose old thread still ends (it was resumed at once) to the next poll.

        Prefect would take a second slot for it, which raises, and the worker would end.
        """
        holding = self.limiter.statistics().borrowers
        return await super()._submit_scheduled_flow_runs(
            [entry for entry in flow_run_response if entry.flow_run.id not in holding]
        )

    async def sync_with_backend(self) -> None:
        """Send a heartbeat; one that is lost after the start is only logged."""
        try:
            await super().sync_with_backend()
        except httpx.HTTPError as error:
            if not self.is_setup:
                raise
            self._logger.warning("The heartbeat did not reach Prefect: %r", error)

    def _slow_down(self, error: Exception) -> None:
        if not self._failures:
            self._logger.warning("Prefect cannot be polled: %r", error)
        self._failures += 1
        self._not_before = time.monotonic() + min(MAX_PAUSE_SECONDS, 0.5 * 2**self._failures)

    def _sweep(self) -> None:
        """Put the pool right once, before the first run is taken."""
        pool, now = self._work_pool_name, datetime.now(UTC)
        crashed = crash_orphans(self._flow_runs, pool, self.name)
        missed = cancel_missed(self._flow_runs, pool, now)
        if crashed or missed:
            self._logger.info("Set %d runs of a dead worker to Crashed, cancelled %d missed runs", crashed, missed)
        self._is_swept = True

    def _watch(self) -> None:
        """Look after the runs until the process ends: ends to report, runs to cancel, runs that were lost."""
        lost_next = time.monotonic()
        while True:
            try:
                self.live_runs.settle_rest()
                self.live_runs.cancel_asked()
                if time.monotonic() >= lost_next:
                    lost_next = time.monotonic() + LOST_AFTER.total_seconds()
                    ours = {*self.live_runs.ids, *self._submitting_flow_run_ids}
                    crash_lost(self._flow_runs, self._work_pool_name, datetime.now(UTC), ours)
            except OrchestratorUnavailable as error:
                self._logger.debug("Prefect is away: %s", error)
            time.sleep(WATCH_SECONDS)


def _api_of_settings() -> PrefectApi:
    """Return the API that the worker's own client talks to."""
    api = get_current_settings().api
    if not api.url:
        raise OrchestratorUnavailable("a worker needs PREFECT_API_URL", hint="set it to Prefect's API: http://…/api")
    auth_string, key = (secret.get_secret_value() if secret else None for secret in (api.auth_string, api.key))
    return PrefectApi(api.url, auth_string=auth_string, api_key=key)
