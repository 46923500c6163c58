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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from uuid import UUID

import httpx
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_WORKER_ENABLE_CANCELLATION,
    PREFECT_WORKER_QUERY_SECONDS,
    get_current_settings,
    temporary_settings,
)
from prefect.workers.base import BaseJobConfiguration, BaseVariables, BaseWorker, BaseWorkerResult
from pydantic import PrivateAttr

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.flow_runner import LiveRuns
from bootpress.adapters.prefect_api.flow_runs import FlowRuns
from bootpress.adapters.prefect_api.pool_cleanup import LOST_AFTER, cancel_missed, fail_lost_runs, fail_orphaned_runs
from bootpress.adapters.prefect_api.retrying_clients import retrying_client
from bootpress.adapters.prefect_api.wakeup import WakeupListener
from bootpress.core.errors import OrchestratorUnavailable

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, WorkPool
    from prefect.client.schemas.responses import DeploymentResponse, WorkerFlowRunResponse

TYPE: Final = "resident"
DEFAULT_LIMIT: Final = 16
QUERY_SECONDS: Final = 0.5
"""Time between polls, where PREFECT_WORKER_QUERY_SECONDS does not say otherwise and nobody wakes the worker."""
AT_ONCE_SECONDS: Final = 0.01
MAX_PAUSE_SECONDS: Final = 5.0
WATCH_SECONDS: Final = 1.0


class ResidentConfiguration(BaseJobConfiguration):
    """What a run needs to begin: its deployment's entrypoint. There is no infrastructure to configure."""

    _entrypoint: str | None = PrivateAttr(default=None)

    @property
    def entrypoint(self) -> str | None:
        """Return where the flow is, as the deployment says."""
        return self._entrypoint

    @classmethod
    async def resolve_for_flow_run(
        cls,
        flow_run: FlowRun,
        *,
        client: PrefectClient,
        work_pool: WorkPool,  # noqa: ARG003 - Prefect's signature
        worker_name: str,  # noqa: ARG003 - Prefect's signature
        worker_id: UUID | None = None,  # noqa: ARG003 - Prefect's signature
        deployment: DeploymentResponse | None = None,
    ) -> Self:
        """Read the deployment, and nothing else: a thread needs no template, no environment, no labels."""
        if deployment is None and flow_run.deployment_id:
            deployment = await client.read_deployment(flow_run.deployment_id)
        configuration = cls()
        configuration._related_objects = {"deployment": deployment, "flow-run": flow_run}
        configuration._entrypoint = deployment.entrypoint if deployment else None
        return configuration


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
        self._identifier = f"{self.name}:{os.getpid()}"
        self._threads = ThreadPoolExecutor(kwargs["limit"], thread_name_prefix="flow-run")
        self._flow_runs = FlowRuns(_api_of_settings())
        self.live_runs = LiveRuns(self._flow_runs, self.name)
        self.has_polled = threading.Event()
        self.is_draining = threading.Event()
        self.wakeup_path: Path | None = None
        """Where others wake it when they have started a run; to be set before the worker starts."""
        self._wakeup: WakeupListener | None = None
        self._pause = QUERY_SECONDS
        self._heartbeat_seconds: int | None = None
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
        # Prefect would start a thread beside each run, and wait a second for its end while the run holds its place.
        # The heartbeats of all runs come from the watch instead, and so does cancelling.
        self._heartbeat_seconds = get_current_settings().flows.heartbeat_frequency
        changed = {PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None, PREFECT_WORKER_ENABLE_CANCELLATION: False}
        self._exit_stack.enter_context(temporary_settings(changed, {PREFECT_WORKER_QUERY_SECONDS: QUERY_SECONDS}))
        self._listen_for_wakeups()
        await super().setup()
        self._client = await self._exit_stack.enter_async_context(retrying_client())
        threading.Thread(target=self._watch, name="watch", daemon=True).start()

    def _listen_for_wakeups(self) -> None:
        """Let Prefect poll again after a poll, which now ends when somebody wakes us or the pause is over."""
        if self.wakeup_path is not None:
            try:
                self._wakeup = WakeupListener(self.wakeup_path)
            except OSError as error:  # not every file system has named pipes
                self._logger.warning("Nobody can wake this worker, so runs begin at the next poll: %s", error)
                return
            self._pause = PREFECT_WORKER_QUERY_SECONDS.value()
            self._exit_stack.callback(self._wakeup.close)
            self._exit_stack.enter_context(temporary_settings({PREFECT_WORKER_QUERY_SECONDS: AT_ONCE_SECONDS}))

    async def run(
        self, flow_run: FlowRun, configuration: ResidentConfiguration, task_status: Any = None
    ) -> ResidentResult:
        """Run a flow run on a thread and wait for its end."""
        if task_status is not None:
            task_status.started(self._identifier)
        await asyncio.get_running_loop().run_in_executor(
            self._threads,
            contextvars.copy_context().run,
            self.live_runs.execute,
            flow_run,
            configuration.entrypoint,
        )
        return ResidentResult(identifier=self._identifier, status_code=0)

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Poll once, and with a wake-up wait until it is time to poll again."""
        submitted = await self._poll()
        if self._wakeup is not None:
            await self._wakeup.wait(self._pause)
        return submitted

    async def _poll(self) -> list[FlowRun]:
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

    async def _give_worker_labels_to_flow_run(self, flow_run_id: UUID) -> None:
        """Write our name on the run in one plain update, before it begins.

        Prefect's labels say the same, but their update reads before it writes, which SQLite refuses whenever another
        write comes between: half of the refusals under load were theirs.
        """
        await self.client.update_flow_run(flow_run_id, infrastructure_pid=self._identifier)

    async def _propose_submitting_state(self, flow_run: FlowRun) -> None:
        """Save Prefect a state, its row and its event: a thread starts at once."""

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
        ended = fail_orphaned_runs(self._flow_runs, self._work_pool_name, self.name)
        missed = cancel_missed(self._flow_runs, self._work_pool_name, datetime.now(UTC))
        if ended or missed:
            self._logger.info("Ended %d runs of a dead worker, cancelled %d missed runs", ended, missed)
        self._is_swept = True

    def _tidy(self) -> None:
        """Keep the pool right: a schedule whose runs take longer than its interval must not pile them up."""
        now = datetime.now(UTC)
        ours = {*self.live_runs.ids, *self._submitting_flow_run_ids}
        fail_lost_runs(self._flow_runs, self._work_pool_name, self.name, now, ours)
        cancel_missed(self._flow_runs, self._work_pool_name, now)

    def _watch(self) -> None:
        """Look after the runs until the process ends: ends to report, runs to cancel, runs that were lost."""
        rounds: list[tuple[float, Callable[[], None]]] = [
            (WATCH_SECONDS, self.live_runs.settle_rest),
            (WATCH_SECONDS, self.live_runs.stop_cancelled),
            (LOST_AFTER.total_seconds(), self._tidy),
        ]
        if self._heartbeat_seconds:
            rounds.append((self._heartbeat_seconds, self.live_runs.send_heartbeats))
        due = [time.monotonic() + seconds for seconds, _ in rounds]
        while True:
            time.sleep(WATCH_SECONDS)
            for index, (seconds, look) in enumerate(rounds):
                if time.monotonic() >= due[index]:
                    self._look(look)
                    due[index] = time.monotonic() + seconds

    def _look(self, look: Callable[[], None]) -> None:
        try:
            look()
        except OrchestratorUnavailable as error:
            self._logger.debug("Prefect is away: %s", error)
        except Exception:  # the watch must outlive whatever one look runs into
            self._logger.exception("The worker could not look after its runs")


def _api_of_settings() -> PrefectApi:
    """Return the API that the worker's own client talks to."""
    api = get_current_settings().api
    if not api.url:
        raise OrchestratorUnavailable("a worker needs PREFECT_API_URL", hint="set it to Prefect's API: http://…/api")
    auth_string, key = (secret.get_secret_value() if secret else None for secret in (api.auth_string, api.key))
    return PrefectApi(api.url, auth_string=auth_string, api_key=key)
