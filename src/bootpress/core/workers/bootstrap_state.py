"""A saga that sets a pipeline up, as its steps find it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from bootpress.core.accounts.models import ApiToken
from bootpress.core.connections import service as connections
from bootpress.core.context import Context
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.ports import Forge
from bootpress.core.sagas import store
from bootpress.core.sagas.models import Saga
from bootpress.core.sagas.store import SagaLease, SagaTransaction
from bootpress.core.webhooks.models import Webhook
from bootpress.core.webhooks.rules import label_key
from bootpress.core.workers import repository_settings
from bootpress.core.workers.bootstrap_plan import (
    BootstrapPlan,
    PreflightResult,
    find_platform_or_none,
    read_findings,
    read_plan,
)
from bootpress.core.workers.models import CiWorker
from bootpress.core.workers.states import WorkerState

PREFLIGHT: Final = "found"
DEFAULT_TIMEOUT: Final = timedelta(minutes=120)


@dataclass(frozen=True, slots=True)
class BootstrapState:
    """A saga as a step finds it."""

    row: Saga
    plan: BootstrapPlan
    findings: PreflightResult

    @classmethod
    def of(cls, context: Context, hold: SagaLease) -> BootstrapState:
        """Read it; Superseded when it is another run's."""
        row = store.read(context, hold)
        return cls(row, read_plan(row.request), read_findings(row.step_results[PREFLIGHT]))

    def has(self, step: str) -> bool:
        """Tell whether a step is done."""
        return step in self.row.step_results

    def forge(self, context: Context) -> Forge:
        """Open the forge."""
        return connections.open_forge(context, self.row.account_id, self.plan.forge)[1]

    def worker(self, session: Session, *, lock: bool = False) -> CiWorker:
        """Return the worker that is set up."""
        return session.get_one(CiWorker, self.row.ci_worker_id, with_for_update=True if lock else None)

    def webhook(self, session: Session, *, lock: bool = False) -> Webhook:
        """Return the webhook that is handed over."""
        return session.get_one(
            Webhook, UUID(self.row.step_results["webhook"]["id"]), with_for_update=True if lock else None
        )

    def token(self, session: Session) -> ApiToken | None:
        """Return the read token that is handed over, if one is."""
        token_id = self.row.step_results["read_token"]["id"]
        return session.get_one(ApiToken, UUID(token_id)) if token_id else None

    def secrets(self, context: Context) -> dict[str, str]:
        """Return the secrets of the pipeline, by name."""
        with context.catalog.read_session() as session:
            webhook, token, worker = self.webhook(session), self.token(session), self.worker(session)
        key = repository_settings.open_key(context, worker) if self.plan.signing_key else None
        return dict(
            repository_settings.secrets(context, self.plan, self.findings, webhook=webhook, token=token, key=key)
        )

    def new_worker(self, context: Context, session: Session) -> CiWorker:
        """Make the worker of the label."""
        worker = CiWorker(
            id=uuid4(),
            account_id=self.row.account_id,
            label=self.plan.label,
            label_key=label_key(self.plan.label),
            status=WorkerState.ACTIVE,
            forge_name=self.plan.forge,
            labels=[],
            created_at=context.clock.now(),
        )
        session.add(worker)
        return worker


def record_step(context: Context, hold: SagaLease, step: str, effect: Any) -> None:
    """Record what a step has done, and nothing else."""
    with store.step_transaction(context, hold) as record:
        record.record_result(step, effect)


def add_warning(record: SagaTransaction, said: str) -> None:
    """Record what the caller is to be warned of."""
    record.record_result("warnings", [*record.row.step_results.get("warnings", []), said])


def workers_sharing_repository(session: Session, worker: CiWorker) -> Sequence[CiWorker]:
    """Return the other workers in use whose repository a worker's is, oldest first."""
    return [one for one in _of_repository(session, worker) if one.status != WorkerState.REVOKED]


def key_of_repository(session: Session, worker: CiWorker) -> str | None:
    """Return the newest public key that was made for a worker's repository under another label."""
    keys = [one.public_key for one in _of_repository(session, worker) if one.public_key is not None]
    return keys[-1] if keys else None


def build_timeout(session: Session, site: BootstrapState) -> timedelta:
    """Return how long a build that began with the old secret may take."""
    platform = find_platform_or_none(session, site.row.account_id, site.plan.platform_slug)
    if platform is not None:
        return timedelta(minutes=platform.build_timeout_minutes)
    longest = select(func.max(NodePlatform.build_timeout_minutes)).where(NodePlatform.account_id == site.row.account_id)
    minutes = session.scalar(longest)
    return timedelta(minutes=minutes) if minutes else DEFAULT_TIMEOUT


def _of_repository(session: Session, worker: CiWorker) -> Sequence[CiWorker]:
    query = select(CiWorker).where(
        CiWorker.account_id == worker.account_id,
        CiWorker.forge_name == worker.forge_name,
        func.lower(CiWorker.repo) == (worker.repo or "").lower(),
        CiWorker.id != worker.id,
    )
    return session.scalars(query.order_by(CiWorker.created_at, CiWorker.id)).all()
