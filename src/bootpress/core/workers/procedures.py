"""Calls that answer at once and that a flow carries out: bootstrap, provision, terminate.

The operation checks what can be checked before any row is written, then calls (`bootpress.core.workers.calling`): a row
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
from bootpress.core.workers import reviving, rules
from bootpress.core.workers.models import Procedure
from bootpress.core.workers.states import ProcedureStatus


@dataclass(frozen=True, slots=True)
class Hold:
    """One flow run's hold of a procedure."""

    procedure_id: UUID
    run_id: UUID


class Recording:
    """A procedure in a transaction of the run that holds it."""

    def __init__(self, context: Context, session: Session, row: Procedure) -> None:
        self._context = context
        self.session = session
        self.row = row

    def note(self, step: str, effect: Any) -> None:
        """Record what a step has done, in JSON values; never a secret."""
        self.row.effects = {**self.row.effects, step: effect}

    def keep(self, **secrets: str) -> None:
        """Keep secrets that the caller is to be told, sealed."""
        self._seal({**opened(self._context, self.row), **secrets})

    def finish(self, answer: Mapping[str, Any]) -> None:
        """Say that all is done; what was kept before is told beside the answer."""
        self._seal({**opened(self._context, self.row), **answer})
        self.row.status = rules.PROCEDURE.move("finish", ProcedureStatus(self.row.status))
        self.row.finished_at = self._context.clock.now()

    def _seal(self, told: Mapping[str, Any]) -> None:
        self.row.answer = self._context.secrets.seal(json.dumps(told))
        self.row.answer_until = self._context.clock.now() + rules.ANSWER_KEPT


def begin(context: Context, hold: Hold) -> None:
    """Take a procedure up, or go on with one whose run died; Superseded when it is another run's, or over."""
    with context.catalog.writing() as session:
        row = locked(session, hold.procedure_id)
        if row.status == ProcedureStatus.RUNNING and row.flow_run_id == hold.run_id:
            return
        now = context.clock.now()
        if row.status == ProcedureStatus.RUNNING and is_dead(row, now):
            row.status = rules.PROCEDURE.move("begin again", ProcedureStatus(row.status))
        if row.status != ProcedureStatus.QUEUED:
            raise Superseded(f"procedure {row.id} is {row.status}, by another run")
        row.status = rules.PROCEDURE.move("begin", ProcedureStatus(row.status))
        row.flow_run_id = hold.run_id
        row.lease_until = now + rules.LEASE


def renew(context: Context, hold: Hold) -> None:
    """Give a sign of life."""
    with context.catalog.writing() as session:
        session.execute(
            update(Procedure)
            .where(
                Procedure.id == hold.procedure_id,
                Procedure.flow_run_id == hold.run_id,
                Procedure.status == ProcedureStatus.RUNNING,
            )
            .values(lease_until=context.clock.now() + rules.LEASE)
        )


def read(context: Context, hold: Hold) -> Procedure:
    """Return the procedure as it is; Superseded when another run holds it."""
    with context.catalog.reading() as session:
        return _held(session.get(Procedure, hold.procedure_id), hold)


@contextmanager
def recording(context: Context, hold: Hold) -> Iterator[Recording]:
    """Write rows and what a step has done in one transaction; Superseded when another run holds the procedure."""
    with context.catalog.writing() as session:
        row = _held(locked(session, hold.procedure_id), hold)
        row.lease_until = context.clock.now() + rules.LEASE
        yield Recording(context, session, row)


def fail(
    context: Context,
    procedure_id: UUID,
    error: BaseException,
    *,
    hold: Hold | None = None,
    undo: Callable[[Session, Procedure], None] = lambda _, __: None,
) -> None:
    """Record what a procedure failed with, and forget what was kept for the caller; nothing if it is over already.

    With a `hold`, nothing either if another run has it; `undo` runs in the same transaction.
    """
    with context.catalog.writing() as session:
        row = locked(session, procedure_id)
        if row.status not in rules.UNFINISHED or (hold is not None and row.flow_run_id != hold.run_id):
            return
        undo(session, row)
        end(context, row, error)


def opened(context: Context, row: Procedure) -> dict[str, Any]:
    """Return what is kept for the caller so far."""
    found: dict[str, Any] = json.loads(context.secrets.open(row.answer)) if row.answer is not None else {}
    return found


def forget_answers(context: Context) -> int:
    """Delete the answers that nobody has read in time; return how many."""
    due = (Procedure.answer_until <= context.clock.now(), Procedure.answer.is_not(None))
    return update_in_pieces(context.catalog, Procedure, *due, values={"answer": None})


def forget_old(context: Context) -> None:
    """Delete procedures that were over long ago: the events and the workers say what became of them."""
    delete_in_pieces(context.catalog, Procedure, Procedure.finished_at < context.clock.now() - rules.KEPT)


def is_dead(row: Procedure, now: datetime) -> bool:
    """Tell whether nobody works on an unfinished procedure any more."""
    return rules.is_dead(lease_until=row.lease_until, now=now)


def end(context: Context, row: Procedure, error: BaseException) -> None:
    """Say in the running transaction what a procedure failed with."""
    row.status = rules.PROCEDURE.move("fail", ProcedureStatus(row.status))
    row.error = reviving.describe(error)
    row.answer = None
    row.finished_at = context.clock.now()


def locked(session: Session, procedure_id: UUID) -> Procedure:
    """Return a procedure for changes."""
    row = session.get(Procedure, procedure_id, with_for_update=True)
    if row is None:
        raise NotFound(f"no procedure {procedure_id}")
    return row


def _held(row: Procedure | None, hold: Hold) -> Procedure:
    if row is None:
        raise NotFound(f"no procedure {hold.procedure_id}")
    if row.status != ProcedureStatus.RUNNING or row.flow_run_id != hold.run_id:
        raise Superseded(f"procedure {row.id} is {row.status}, and no longer this run's")
    return row
