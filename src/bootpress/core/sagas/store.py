"""Calls that answer at once and that a flow carries out: bootstrap, provision, terminate.

The operation checks what can be checked before any row is written, then calls (`bootpress.core.sagas.caller`): a row
with the request (no secret in it), a launch with the row's id as only parameter, and a bounded wait for the row to be
done. The flow `begin`s, which makes its `Hold` good; each step of it does one thing and records that in the row before
the next (`recording`), with the secrets that the caller is to be told sealed beside it; the last one `finish`es, or
somebody `fail`s. A step first looks whether its effect is recorded: a run that goes on for one that died skips what is
done. Whoever lost the hold gets Superseded and records nothing. The answer is deleted when it is read, or ten minutes
after it was written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.errors import NotFound, Superseded
from bootpress.core.pieces import delete_in_pieces, update_in_pieces
from bootpress.core.sagas import error_codec, rules
from bootpress.core.sagas.models import Saga
from bootpress.core.sagas.states import SagaStatus


@dataclass(frozen=True, slots=True)
class SagaLease:
    """One flow run's hold of a saga."""

    saga_id: UUID
    run_id: UUID


class SagaTransaction:
    """A saga in a transaction of the run that holds it."""

    def __init__(self, context: Context, session: Session, row: Saga) -> None:
        self._context = context
        self.session = session
        self.row = row

    def record_result(self, step: str, effect: Any) -> None:
        """Record what a step has done, in JSON values; never a secret."""
        self.row.step_results = {**self.row.step_results, step: effect}

    def store_secret_result(self, **secrets: str) -> None:
        """Keep secrets that the caller is to be told, sealed."""
        self._seal({**decrypt_answer(self._context, self.row), **secrets})

    def complete(self, answer: Mapping[str, Any]) -> None:
        """Say that all is done; what was kept before is told beside the answer."""
        self._seal({**decrypt_answer(self._context, self.row), **answer})
        self.row.status = rules.SAGA.transition("finish", SagaStatus(self.row.status))
        self.row.finished_at = self._context.clock.now()

    def _seal(self, told: Mapping[str, Any]) -> None:
        self.row.encrypted_result = self._context.secrets.encrypt(json.dumps(told))
        self.row.result_expires_at = self._context.clock.now() + rules.ANSWER_KEPT


def begin(context: Context, hold: SagaLease) -> None:
    """Take a saga up, or go on with one whose run died; Superseded when it is another run's, or over."""
    with context.catalog.transaction() as session:
        row = get_for_update(session, hold.saga_id)
        if row.status == SagaStatus.RUNNING and row.flow_run_id == hold.run_id:
            return
        now = context.clock.now()
        if row.status == SagaStatus.RUNNING and is_dead(row, now):
            row.status = rules.SAGA.transition("begin again", SagaStatus(row.status))
        if row.status != SagaStatus.QUEUED:
            raise Superseded(f"saga {row.id} is {row.status}, by another run")
        row.status = rules.SAGA.transition("begin", SagaStatus(row.status))
        row.flow_run_id = hold.run_id
        row.lease_expires_at = now + rules.LEASE


def renew(context: Context, hold: SagaLease) -> None:
    """Give a sign of life."""
    with context.catalog.transaction() as session:
        session.execute(
            update(Saga)
            .where(
                Saga.id == hold.saga_id,
                Saga.flow_run_id == hold.run_id,
                Saga.status == SagaStatus.RUNNING,
            )
            .values(lease_expires_at=context.clock.now() + rules.LEASE)
        )


def read(context: Context, hold: SagaLease) -> Saga:
    """Return the saga as it is; Superseded when another run holds it."""
    with context.catalog.read_session() as session:
        return _held(session.get(Saga, hold.saga_id), hold)


@contextmanager
def step_transaction(context: Context, hold: SagaLease) -> Iterator[SagaTransaction]:
    """Write rows and what a step has done in one transaction; Superseded when another run holds the saga."""
    with context.catalog.transaction() as session:
        row = _held(get_for_update(session, hold.saga_id), hold)
        row.lease_expires_at = context.clock.now() + rules.LEASE
        yield SagaTransaction(context, session, row)


def fail(
    context: Context,
    saga_id: UUID,
    error: BaseException,
    *,
    hold: SagaLease | None = None,
    undo: Callable[[Session, Saga], None] = lambda _, __: None,
) -> None:
    """Record what a saga failed with, and forget what was kept for the caller; nothing if it is over already.

    With a `hold`, nothing either if another run has it; `undo` runs in the same transaction.
    """
    with context.catalog.transaction() as session:
        row = get_for_update(session, saga_id)
        if row.status not in rules.UNFINISHED or (hold is not None and row.flow_run_id != hold.run_id):
            return
        undo(session, row)
        end(context, row, error)


def decrypt_answer(context: Context, row: Saga) -> dict[str, Any]:
    """Return what is kept for the caller so far."""
    found: dict[str, Any] = (
        json.loads(context.secrets.decrypt(row.encrypted_result)) if row.encrypted_result is not None else {}
    )
    return found


def delete_expired_answers(context: Context) -> int:
    """Delete the answers that nobody has read in time; return how many."""
    due = (Saga.result_expires_at <= context.clock.now(), Saga.encrypted_result.is_not(None))
    return update_in_pieces(context.catalog, Saga, *due, values={"encrypted_result": None})


def delete_old_sagas(context: Context) -> None:
    """Delete sagas that were over long ago: the events and the workers say what became of them."""
    delete_in_pieces(context.catalog, Saga, Saga.finished_at < context.clock.now() - rules.SAGA_TTL)


def is_dead(row: Saga, now: datetime) -> bool:
    """Tell whether nobody works on an unfinished saga any more."""
    return rules.is_dead(lease_until=row.lease_expires_at, now=now)


def end(context: Context, row: Saga, error: BaseException) -> None:
    """Say in the running transaction what a saga failed with."""
    row.status = rules.SAGA.transition("fail", SagaStatus(row.status))
    row.error = error_codec.serialize_error(error)
    row.encrypted_result = None
    row.finished_at = context.clock.now()


def get_for_update(session: Session, saga_id: UUID) -> Saga:
    """Return a saga for changes."""
    row = session.get(Saga, saga_id, with_for_update=True)
    if row is None:
        raise NotFound(f"no saga {saga_id}")
    return row


def _held(row: Saga | None, hold: SagaLease) -> Saga:
    if row is None:
        raise NotFound(f"no saga {hold.saga_id}")
    if row.status != SagaStatus.RUNNING or row.flow_run_id != hold.run_id:
        raise Superseded(f"saga {row.id} is {row.status}, and no longer this run's")
    return row
