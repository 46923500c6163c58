"""Run flow runs on threads of this process, and see to it that each one's end is known to Prefect."""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect._flow_run_suspension import mark_flow_run_suspension_requested
from prefect.client.schemas.objects import State
from prefect.events import emit_event
from prefect.exceptions import Abort, Pause
from prefect.flow_engine import run_flow
from prefect.flows import Flow
from prefect.logging.loggers import flow_run_logger, get_logger

from bootpress.adapters.prefect_api.retrying_clients import quick_sync_clients
from bootpress.core.errors import OrchestratorUnavailable, Unsupported

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

    from bootpress.adapters.prefect_api.flow_runs import FlowRuns

CANCELLED = "Cancelled: the run ended before its next task"
ENDED_WITHOUT_STATE = "The run ended without a final state"

_logger = get_logger("bootpress.worker")


class FlowCache:
    """Flows by entrypoint, each imported once; a changed flow needs a new worker process."""

    def __init__(self) -> None:
        self._flows: dict[str, Flow[..., Any]] = {}
        self._lock = threading.Lock()  # two threads that import one module at once can see half of it

    def load(self, entrypoint: str | None) -> Flow[..., Any]:
        """Import the flow of a module path, `package.module.function`; Unsupported for any other entrypoint."""
        if not entrypoint or ":" in entrypoint or "." not in entrypoint:
            raise Unsupported(
                f"the resident worker loads flows by module path, not from {entrypoint!r}",
                hint="write the entrypoint as package.module.function, or move the deployment to a process pool",
            )
        with self._lock:
            if entrypoint not in self._flows:
                self._flows[entrypoint] = _import_flow(entrypoint)
            return self._flows[entrypoint]


def _import_flow(entrypoint: str) -> Flow[..., Any]:
    module, _, name = entrypoint.rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    if not isinstance(flow, Flow):
        raise Unsupported(f"{entrypoint} is a {type(flow).__name__}, not a flow", hint="decorate it with @flow")
    if flow.isasync or flow.isgenerator:
        raise Unsupported(f"the flow {entrypoint} is asynchronous or a generator", hint="use a process pool for it")
    return flow


class LiveRuns:
    """The flow runs that threads of this process execute now."""

    def __init__(self, flow_runs: FlowRuns, worker: str) -> None:
        self._flow_runs = flow_runs
        self._worker = worker
        self._flows = FlowCache()
        self._lock = threading.Lock()
        self._live: dict[UUID, FlowRun] = {}
        self._unsettled: dict[UUID, str] = {}

    @property
    def ids(self) -> list[UUID]:
        """Return the ids of the runs on threads."""
        with self._lock:
            return list(self._live)

    def execute(self, flow_run: FlowRun, entrypoint: str | None) -> None:
        """Run a flow run to its end on this thread; never raises, whatever the flow does."""
        with self._lock:
            self._live[flow_run.id] = flow_run
            self._unsettled.pop(flow_run.id, None)
        try:
            doubt = self._run(flow_run, entrypoint)
            if doubt is not None:
                self.report_end(flow_run.id, doubt)
        finally:
            with self._lock:
                self._live.pop(flow_run.id, None)

    def _run(self, flow_run: FlowRun, entrypoint: str | None) -> str | None:
        """Return None when the engine has set a final state, else what to say if it turns out that nobody did."""
        logger = flow_run_logger(flow_run)
        try:
            flow = self._flows.load(entrypoint)
        except BaseException as error:  # importing runs anybody's code; the worker outlives it
            logger.exception("The flow %s could not be loaded", entrypoint)
            return f"The flow {entrypoint} could not be loaded: {type(error).__name__}: {error}"
        # Without its deployment's id the engine starts no observer: a thread, an event loop and a websocket per run, to
        # learn of a suspension from outside. `end_asked` learns it for all runs in one call. The engine reads the run
        # again, whole, before it enters the flow.
        unobserved = flow_run.model_copy(update={"deployment_id": None})
        try:
            with quick_sync_clients():
                state = run_flow(flow, flow_run=unobserved, return_type="state")
        except Pause as pause:  # suspended (it may be under way elsewhere already), or cancelled
            return None if pause.state is not None and pause.state.is_paused() else ENDED_WITHOUT_STATE
        except Abort:  # Prefect says that the run is not to go on: a clean end
            return ENDED_WITHOUT_STATE
        except BaseException as error:  # SystemExit in a flow must not end the thread without a word
            logger.exception("The run ended outside its flow")
            return f"The run ended outside its flow: {type(error).__name__}: {error}"
        return None if isinstance(state, State) and state.is_final() else ENDED_WITHOUT_STATE

    def report_end(self, run_id: UUID, message: str) -> None:
        """Set a run that has ended here, and that Prefect takes for alive, to Cancelled or Crashed.

        While Prefect is away the run is kept, and `settle_rest` tries again.
        """
        try:
            run = self._flow_runs.find(run_id)
            if run is None or run.worker != self._worker:  # deleted, or another worker's by now
                pass
            elif run.state == "CANCELLING":
                self._flow_runs.cancel(run_id, CANCELLED)
            elif run.state in {"RUNNING", "PENDING"}:
                self._flow_runs.crash(run_id, message)
        except OrchestratorUnavailable as error:
            _logger.warning("The end of flow run %s is not reported yet: %s", run_id, error)
            with self._lock:
                self._unsettled[run_id] = message
        else:
            with self._lock:
                self._unsettled.pop(run_id, None)

    def settle_rest(self) -> None:
        """Report the ends that could not be reported before, but for runs that have begun here again."""
        with self._lock:
            rest = [(run_id, message) for run_id, message in self._unsettled.items() if run_id not in self._live]
        for run_id, message in rest:
            self.report_end(run_id, message)

    def stop_cancelled(self) -> None:
        """Have the live runs that somebody cancelled or suspended end at their next task.

        A thread cannot be killed. The engine looks for this (private, pinned, contract-tested) mark at every boundary
        of a task. A run whose engine has not begun yet takes no mark; the next round tries again.
        """
        ids = self.ids
        for run in self._flow_runs.find_cancel_requested(ids) if ids else []:
            mark_flow_run_suspension_requested(UUID(run["id"]), State.model_validate(run["state"]))

    def send_heartbeats(self) -> None:
        """Tell Prefect that the live runs are alive, in its engine's own words."""
        with self._lock:
            live = list(self._live.values())
        for run in live:
            emit_event(
                event="prefect.flow-run.heartbeat",
                resource={"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.name": run.name},
                related=[
                    {"prefect.resource.id": f"prefect.{kind}.{identifier}", "prefect.resource.role": kind}
                    for kind, identifier in (("flow", run.flow_id), ("deployment", run.deployment_id))
                ],
            )

    def crash_rest(self, message: str) -> None:
        """Set every run that is still on a thread to Crashed."""
        for run_id in self.ids:
            self.report_end(run_id, message)
