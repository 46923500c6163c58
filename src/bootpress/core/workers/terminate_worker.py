"""Terminate a CI worker: its container removed, its runners deregistered, its row revoked; each step recorded.

The row is revoked last. A worker of which anything is left is in use as before, and a repeat goes on with it.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session

from bootpress.core.accounts import read_tokens
from bootpress.core.connections import service as connections
from bootpress.core.context import Context
from bootpress.core.errors import NotFound
from bootpress.core.ports import GitRepository
from bootpress.core.sagas import store
from bootpress.core.sagas.models import Saga
from bootpress.core.sagas.store import SagaLease, SagaTransaction
from bootpress.core.webhooks.models import Webhook
from bootpress.core.webhooks.states import WebhookStatus
from bootpress.core.workers.bootstrap_plan import claim_of_label, claim_of_repository
from bootpress.core.workers.bootstrap_state import workers_sharing_repository
from bootpress.core.workers.models import CiWorker
from bootpress.core.workers.service import runners_of
from bootpress.core.workers.states import WorkerState


def find_worker(session: Session, account_id: UUID, worker_id: UUID, *, lock: bool = False) -> CiWorker:
    """Return an account's worker, revoked or not; NotFound for another's."""
    worker = session.get(CiWorker, worker_id, with_for_update=True if lock else None)
    if worker is None or worker.account_id != account_id:
        raise NotFound(f"no CI worker {worker_id}", hint="system_list_ci_workers lists them")
    return worker


def claims(worker: CiWorker) -> list[str]:
    """Return what no other saga may work on while a worker is terminated."""
    repository = [claim_of_repository(worker.forge_name, worker.repo)] if worker.repo is not None else []
    return [claim_of_label(worker.label), *repository]


def remove_container(context: Context, hold: SagaLease) -> None:
    """Stop and remove the container of a runner that we run, so that it registers no more."""
    row, worker = _read(context, hold)
    if "container" in row.step_results:
        return
    is_ours = bool(worker.labels)  # whoever provisions writes them before there is a container
    if is_ours:
        context.runner_hosts.open(worker.runner_host).remove(worker.id)
    with store.step_transaction(context, hold) as record:
        _worker_of(record).container_id = None
        record.record_result("container", {"removed": is_ours})


def find_runners(context: Context, hold: SagaLease) -> None:
    """Ask the forge which runners belong to the worker."""
    row, worker = _read(context, hold)
    if "runners" in row.step_results:
        return
    with context.catalog.read_session() as session:
        beside = [worker, *workers_sharing_repository(session, worker)] if worker.repo is not None else []
    beside.sort(key=lambda one: (one.created_at, one.id))
    found = runners_of(context, worker.account_id, beside).get(worker.id, [])
    with store.step_transaction(context, hold) as record:
        told = [{"id": runner.id, "name": runner.name, "is_busy": runner.is_busy} for runner in found]
        record.record_result("runners", told)


def deregister(context: Context, hold: SagaLease) -> None:
    """Deregister the worker's runners at the forge."""
    row, worker = _read(context, hold)
    if "deregistered" in row.step_results:
        return
    if row.step_results["runners"]:
        repository = GitRepository.parse(worker.repo or "")
        _, forge = connections.open_forge(context, worker.account_id, worker.forge_name)
        for runner in row.step_results["runners"]:
            forge.delete_runner(repository, runner["id"])
    with store.step_transaction(context, hold) as record:
        record.record_result("deregistered", [runner["name"] for runner in row.step_results["runners"]])


def revoke(context: Context, hold: SagaLease) -> None:
    """Revoke the worker and its read tokens, and answer."""
    with store.step_transaction(context, hold) as record:
        now, worker = context.clock.now(), _worker_of(record)
        worker.status, worker.revoked_at = WorkerState.REVOKED, now
        worker.runner_id, worker.unconfirmed_key = None, None
        read_tokens.revoke(record.session, worker.id, now=now)
        record.complete(_answer(record, worker))


STEPS: Final = (remove_container, find_runners, deregister, revoke)
"""In this order."""


def _answer(record: SagaTransaction, worker: CiWorker) -> dict[str, Any]:
    effects = record.row.step_results
    warnings = [
        f"the runner {runner['name']} was busy: its job never ends at the forge by itself"
        for runner in effects["runners"]
        if runner["is_busy"]
    ]
    webhook = record.session.get(Webhook, worker.webhook_id) if worker.webhook_id else None
    if webhook is not None and webhook.status != WebhookStatus.REVOKED:
        warnings.append(
            f"the webhook {webhook.label} still accepts deliveries: system_revoke_disk_image_webhook ends that"
        )
    return {
        "runners_deregistered": effects["deregistered"],
        "container_removed": effects["container"]["removed"],
        "warnings": warnings,
        "flow_run_id": str(record.row.flow_run_id),
    }


def _read(context: Context, hold: SagaLease) -> tuple[Saga, CiWorker]:
    row = store.read(context, hold)
    with context.catalog.read_session() as session:
        return row, session.get_one(CiWorker, row.ci_worker_id)


def _worker_of(record: SagaTransaction) -> CiWorker:
    return record.session.get_one(CiWorker, record.row.ci_worker_id, with_for_update=True)
