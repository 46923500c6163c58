"""Undo a bootstrap that failed for good, as far as nobody could use what it made: no orphan row, secret or token.

A label that was set up before keeps its worker, webhook and key, and both webhook secrets hold: the next bootstrap
goes on from there.
"""

from __future__ import annotations

import logging
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from bootpress.core.accounts import read_tokens
from bootpress.core.context import Context
from bootpress.core.errors import BootpressError, Superseded
from bootpress.core.sagas import store
from bootpress.core.sagas.models import Saga
from bootpress.core.sagas.store import SagaLease
from bootpress.core.webhooks import secret_rotation
from bootpress.core.webhooks.models import Webhook
from bootpress.core.workers.bootstrap_state import BootstrapState, workers_sharing_repository
from bootpress.core.workers.models import CiWorker

logger = logging.getLogger(__name__)


def roll_back(context: Context, hold: SagaLease, error: BaseException) -> None:
    """Record what a bootstrap failed with, and take back what a first one made."""
    try:
        _delete_secrets(context, hold)
    except Superseded:
        return
    except Exception as trouble:  # noqa: BLE001 - the forge is away, mostly: what lies there opens nothing any more
        said = trouble if isinstance(trouble, BootpressError) else type(trouble).__name__
        logger.warning("the secrets of an abandoned pipeline stay on the forge: %s", said)
    store.fail(context, hold.saga_id, error, hold=hold, undo=_undo)


def _delete_secrets(context: Context, hold: SagaLease) -> None:
    site = BootstrapState.of(context, hold)
    if not site.has("webhook"):
        return
    with context.catalog.read_session() as session:
        fresh = _fresh(session, site.row) is not None
    if not fresh:
        return
    done = site.row.step_results.get("secrets", [])
    names = list(site.secrets(context)) if site.has("read_token") else []
    forge = site.forge(context)
    for name in names[: len(done) + 1] if done else []:  # the one that failed may be there all the same
        forge.delete_secret(site.plan.repository, name)


def _fresh(session: Session, row: Saga) -> tuple[CiWorker, Webhook] | None:
    """Return what a first bootstrap made, and that nobody else's pipeline is told by now."""
    worker = session.get(CiWorker, row.ci_worker_id) if row.ci_worker_id else None
    told = row.step_results.get("webhook")
    webhook = session.get(Webhook, UUID(told["id"])) if told else None
    if (
        worker is None
        or webhook is None
        or not secret_rotation.is_new(webhook)
        or workers_sharing_repository(session, worker)
    ):
        return None
    if worker.labels:  # it was there before, and a runner that we run is its
        return None
    return worker, webhook


def _undo(session: Session, row: Saga) -> None:
    found = _fresh(session, row)
    if found is None:
        return
    worker, webhook = found
    tokens = read_tokens.list_active(session, worker.id)
    session.execute(update(Saga).where(Saga.ci_worker_id == worker.id).values(ci_worker_id=None))
    session.delete(worker)
    session.flush()
    for token in tokens:
        session.delete(token)
    secret_rotation.cancel_rotation(session, webhook)
