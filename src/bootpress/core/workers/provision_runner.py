"""Run a runner for a build repository: the steps, each of which does one thing and records it before the next.

A runner is a container on a Docker host, found again by its worker's id, and a registration at the forge under the
worker's label. The registration's token is asked for where it is needed and kept nowhere; when the runner is online it
is taken from the container too. What failed for good is taken back: container, registration, and the worker if it was
made for this.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import update
from sqlalchemy.orm import Session

from bootpress.core.connections import service as connections
from bootpress.core.context import Context
from bootpress.core.errors import BootpressError, RunnerHostRefused, Superseded
from bootpress.core.ports import Container, Forge, Runner, RunnerHost, RunnerSpec
from bootpress.core.sagas import store
from bootpress.core.sagas.models import Saga
from bootpress.core.sagas.store import SagaLease
from bootpress.core.webhooks.rules import label_key
from bootpress.core.workers import bootstrap_plan, rules, runner_plan
from bootpress.core.workers.models import CiWorker
from bootpress.core.workers.runner_plan import RunnerPlan
from bootpress.core.workers.states import WorkerState

LOOK_SECONDS: Final = 1.0
LOG_LINES: Final = 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProvisionState:
    """A saga that provisions a runner, as a step finds it."""

    row: Saga
    plan: RunnerPlan

    @classmethod
    def of(cls, context: Context, hold: SagaLease) -> ProvisionState:
        """Read it; Superseded when it is another run's."""
        row = store.read(context, hold)
        return cls(row, RunnerPlan(**row.request))

    def has(self, step: str) -> bool:
        """Tell whether a step is done."""
        return step in self.row.step_results

    def step_result(self, step: str) -> Any:
        """Return what a step has recorded."""
        return self.row.step_results[step]

    def forge(self, context: Context) -> Forge:
        """Open the forge."""
        return connections.open_forge(context, self.row.account_id, self.plan.forge)[1]

    def host(self, context: Context) -> RunnerHost:
        """Open the Docker host."""
        return context.runner_hosts.open(self.plan.runner_host)

    @property
    def worker_id(self) -> UUID:
        """Return the worker's id."""
        return UUID(self.step_result("worker")["id"])


def ensure_worker(context: Context, hold: SagaLease) -> None:
    """Make the worker if there is none of the label, and remember how it was and who is registered under its name."""
    berth = ProvisionState.of(context, hold)
    if berth.has("worker"):
        return
    wanted = berth.plan
    moved = _leave_old_host(context, berth)
    known = berth.forge(context).list_runners(wanted.repository)
    with store.step_transaction(context, hold) as record:
        worker = bootstrap_plan.find_worker(record.session, berth.row.account_id, wanted.label, lock=True)
        created = worker is None
        if worker is None:
            worker = _new_worker(context, berth)
            record.session.add(worker)
            record.session.flush()
        had = {
            "container": worker.container_id,
            "runner": worker.runner_id,
            "labels": worker.labels,
            "runner_host": worker.runner_host,
        }
        found = {"id": str(worker.id), "created": created, "moved": moved, "had": had}
        record.record_result("worker", found | {"registered": [runner.id for runner in known]})
        worker.labels, worker.runner_host = list(wanted.labels), wanted.runner_host
        record.row.ci_worker_id = worker.id


def start_container(context: Context, hold: SagaLease) -> None:
    """Run the runner's container, and deregister the one that it replaces; one that runs as is wanted is kept."""
    berth = ProvisionState.of(context, hold)
    if berth.has("container"):
        return
    wanted, had = berth.plan, berth.step_result("worker")["had"]
    host, forge = berth.host(context), berth.forge(context)
    spec = RunnerSpec(
        worker_id=berth.worker_id,
        name=wanted.label,
        image=wanted.image,
        forge_url=wanted.forge_url,
        registration_token=forge.registration_token(wanted.repository),
        labels=tuple(wanted.labels),
    )
    made = host.start(spec)
    if made.id == had["container"] and had["runner"] not in {None, *berth.step_result("worker")["registered"]}:
        host.remove(berth.worker_id)  # the forge no longer knows it, and it would never register again
        made = host.start(spec)
    replaced = made.id != had["container"] and had["runner"] is not None
    if replaced:
        forge.delete_runner(wanted.repository, had["runner"])
    with store.step_transaction(context, hold) as record:
        worker = record.session.get_one(CiWorker, berth.worker_id, with_for_update=True)
        worker.container_id, worker.runner_id = made.id, None if replaced else worker.runner_id
        record.record_result("container", {"id": made.id, "others": _others(berth, made)})


def await_runner(context: Context, hold: SagaLease) -> None:
    """Wait until the forge says that the runner is online; RunnerHostRefused with the end of its log if it never is."""
    berth = ProvisionState.of(context, hold)
    if berth.has("runner"):
        return
    forge, container = berth.forge(context), berth.step_result("container")
    seconds = context.limits.runner_seconds
    deadline = time.monotonic() + seconds
    while (runner := _online(berth, forge)) is None:
        if time.monotonic() >= deadline:
            raise RunnerHostRefused(
                f"the runner {berth.plan.label} did not come online at {berth.plan.forge_url} within {seconds:.0f} s;"
                f" the end of its log: {_log(berth, context, forge, container['id'])}",
                hint=f"see that {berth.plan.forge_url} can be reached from the Docker host, and that"
                f" {berth.plan.image} is a runner (BOOTPRESS_RUNNER_IMAGE names another)",
            )
        time.sleep(min(LOOK_SECONDS, seconds))
    with store.step_transaction(context, hold) as record:
        worker = record.session.get_one(CiWorker, berth.worker_id, with_for_update=True)
        worker.runner_id, worker.last_seen_at = runner.id, context.clock.now()
        record.record_result("runner", {"id": runner.id, "name": runner.name})


def finalize(context: Context, hold: SagaLease) -> None:
    """Take the token from the container, and answer."""
    berth = ProvisionState.of(context, hold)
    container, had = berth.step_result("container"), berth.step_result("worker")["had"]
    berth.host(context).clear_registration_token(container["id"])
    with store.step_transaction(context, hold) as record:
        record.complete(
            {
                "action": rules.provision_action(had=had["container"], has=container["id"]),
                "ci_worker_id": str(berth.worker_id),
                "container_id": container["id"],
                "flow_run_id": str(record.row.flow_run_id),
            }
        )


STEPS: Final = (ensure_worker, start_container, await_runner, finalize)
"""In this order."""


def roll_back(context: Context, hold: SagaLease, error: BaseException) -> None:
    """Record what a provisioning failed with, and take back what it made."""
    try:
        berth = ProvisionState.of(context, hold)
    except Superseded:
        return
    undo = _keep
    if berth.has("worker") and not _kept(berth):
        gone = [_try(_remove_container, context, berth), _try(_deregister, context, berth)]
        undo = functools.partial(_undo, gone=all(gone))
    store.fail(context, hold.saga_id, error, hold=hold, undo=undo)


def _kept(berth: ProvisionState) -> bool:
    """Tell whether the worker had a container before, which is there still."""
    had = berth.step_result("worker")["had"]["container"]
    if had is None or berth.step_result("worker")["moved"]:
        return False
    return not berth.has("container") or bool(berth.step_result("container")["id"] == had)


def _try(undo: Any, context: Context, berth: ProvisionState) -> bool:
    try:
        undo(context, berth)
    except BootpressError as trouble:
        logger.warning("%s of an abandoned runner: %s", undo.__name__.strip("_"), trouble)
        return False
    return True


def _remove_container(context: Context, berth: ProvisionState) -> None:
    berth.host(context).remove(berth.worker_id)


def _deregister(context: Context, berth: ProvisionState) -> None:
    forge, before = berth.forge(context), berth.step_result("worker")["had"]["runner"]
    for runner_id in [*([before] if before else []), *(runner.id for runner in _ours(berth, forge))]:
        forge.delete_runner(berth.plan.repository, runner_id)


def _keep(session: Session, row: Saga) -> None:
    """Leave a runner as it was."""
    told = row.step_results.get("worker")
    worker = session.get(CiWorker, UUID(told["id"])) if told else None
    if told and worker is not None:
        worker.labels, worker.runner_host = told["had"]["labels"], told["had"]["runner_host"]


def _undo(session: Session, row: Saga, *, gone: bool) -> None:
    """Forget a runner that is gone; what could not be removed stays known, so that a termination removes it."""
    told = row.step_results["worker"]
    worker = session.get(CiWorker, UUID(told["id"]))
    if worker is None or not gone:
        return
    if told["created"]:
        session.execute(update(Saga).where(Saga.ci_worker_id == worker.id).values(ci_worker_id=None))
        session.delete(worker)
        return
    worker.labels, worker.runner_host, worker.container_id, worker.runner_id = [], None, None, None


def _leave_old_host(context: Context, berth: ProvisionState) -> bool:
    """Remove the container from the host that a worker's runner is to leave, while its row still names that host."""
    with context.catalog.read_session() as session:
        worker = bootstrap_plan.find_worker(session, berth.row.account_id, berth.plan.label)
    if worker is None or not worker.labels or worker.runner_host == berth.plan.runner_host:
        return False
    context.runner_hosts.open(worker.runner_host).remove(worker.id)
    return True


def _new_worker(context: Context, berth: ProvisionState) -> CiWorker:
    return CiWorker(
        id=uuid4(),
        account_id=berth.row.account_id,
        label=berth.plan.label,
        label_key=label_key(berth.plan.label),
        status=WorkerState.ACTIVE,
        forge_name=berth.plan.forge,
        repo=berth.plan.repo,
        labels=[],
        created_at=context.clock.now(),
    )


def _others(berth: ProvisionState, made: Container) -> list[str]:
    """Return the registrations under the worker's name that are not those of its container."""
    had = berth.step_result("worker")["had"]
    if made.is_new:
        return list(berth.step_result("worker")["registered"])
    # It was there before this step: it may have been made by one that died, after those of before were listed.
    return [had["runner"]] if had["runner"] is not None and made.id != had["container"] else []


def _ours(berth: ProvisionState, forge: Forge) -> Sequence[Runner]:
    """Return the registrations under the worker's name that its container has made."""
    told = (
        berth.step_result("container")["others"]
        if berth.has("container")
        else berth.step_result("worker")["registered"]
    )
    named = runner_plan.runners_named(forge, berth.plan.repository, berth.plan.label)
    return [runner for runner in named if runner.id not in told]


def _online(berth: ProvisionState, forge: Forge) -> Runner | None:
    return next((runner for runner in _ours(berth, forge) if runner.is_online), None)


def _log(berth: ProvisionState, context: Context, forge: Forge, container_id: str) -> str:
    """Return the end of what a container said, without the registration token, on one line of text."""
    try:
        said = berth.host(context).logs(container_id, lines=LOG_LINES)
        token = forge.registration_token(berth.plan.repository)
    except BootpressError as error:
        return f"(cannot be shown: {error.message})"
    return rules.end_of_log(said, secret=token)
