"""Calls that answer at once and that a flow carries out: bootstrap, provision, terminate.

The operation checks what can be checked before any row is written, then `call`s: a row with the request (no secret in
it), a launch with the row's id as only parameter, and a bounded wait for the row to be done. The flow `begin`s, which
gives it a `Hold`; each step of it does one thing and records that in the row before the next (`recording`), with the
secrets that the caller is to be told sealed beside it; the last one `finish`es, or somebody `fail`s. A step first looks
whether its effect is recorded: a run that goes on for one that died skips what is done. Whoever lost the hold gets
Superseded and records nothing. The answer is deleted when it is read, or ten minutes after it was written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from bootpress.core import locks
from bootpress.core.context import Caller, Context
from bootpress.core.errors import Conflict, NotFound, OrchestratorUnavailable, Superseded
from bootpress.core.ports import Work
from bootpress.core.workers import reviving, rules
from bootpress.core.workers.models import Procedure
from bootpress.core.workers.states import ProcedureKind, ProcedureStatus

FIRST_LOOK = 0.05
LAST_LOOK = 0.5
"""Seconds between looks at a row: fewer at first, since most procedures take a second or two."""
AGAIN_AFTER = 10.0


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


def call(
    context: Context,
    caller: Caller,
    kind: ProcedureKind,
    *,
    request: Mapping[str, Any],
    claims: Sequence[str],
    run_name: str,
    effects: Mapping[str, Any] | None = None,
    ci_worker_id: UUID | None = None,
) -> dict[str, Any]:
    """Have a flow carry out a procedure; return its answer, or raise what it failed with.

    `claims` says in words what no other procedure of the account may work on meanwhile; `effects` is what was found
    already. Raises Conflict while another one has a claim, OrchestratorUnavailable when nobody takes it up, or it takes
    longer than `limits.procedure_seconds`.
    """
    row = _enter(
        context,
        caller,
        kind,
        request=dict(request),
        claims=list(claims),
        effects=dict(effects or {}),
        ci_worker_id=ci_worker_id,
    )
    _launch(context, row, run_name, key=row.id)
    return _wait(context, row, run_name)


def await_claims(context: Context, account_id: UUID, claims: Sequence[str]) -> None:
    """Wait until no other procedure works on these, as long as it takes to see that one is dead.

    Whoever looks at something before he `call`s does this first: what he sees then is not about to change.
    """
    deadline = time.monotonic() + min(rules.SEEN_DEAD.total_seconds(), context.limits.procedure_seconds)
    while time.monotonic() < deadline:
        with context.catalog.reading() as session:
            now = context.clock.now()
            others = session.scalars(_unfinished(account_id)).all()
        if not any(_shared(claims, other) and not _is_dead(other, now) for other in others):
            return
        time.sleep(LAST_LOOK)


def begin(context: Context, hold: Hold) -> None:
    """Take a procedure up, or go on with one whose run died; Superseded when it is another run's, or over."""
    with context.catalog.writing() as session:
        row = _locked(session, hold.procedure_id)
        if row.status == ProcedureStatus.RUNNING and row.flow_run_id == hold.run_id:
            return
        now = context.clock.now()
        if row.status == ProcedureStatus.RUNNING and _is_dead(row, now):
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
        row = _held(_locked(session, hold.procedure_id), hold)
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
        row = _locked(session, procedure_id)
        if row.status not in rules.UNFINISHED or (hold is not None and row.flow_run_id != hold.run_id):
            return
        undo(session, row)
        _fail(context, row, error)


def opened(context: Context, row: Procedure) -> dict[str, Any]:
    """Return what is kept for the caller so far."""
    found: dict[str, Any] = json.loads(context.secrets.open(row.answer)) if row.answer is not None else {}
    return found


def forget_answers(context: Context) -> int:
    """Delete the answers that nobody has read in time; return how many."""
    with context.catalog.writing() as session:
        due = select(Procedure).where(Procedure.answer_until <= context.clock.now(), Procedure.answer.is_not(None))
        rows = session.scalars(due.with_for_update(skip_locked=True)).all()
        for row in rows:
            row.answer = None
        return len(rows)


def _enter(context: Context, caller: Caller, kind: ProcedureKind, *, claims: list[str], **fields: Any) -> Procedure:
    now = context.clock.now()
    with context.catalog.writing() as session:
        locks.hold(session, [f"procedures of {caller.account_id}"])
        for other in session.scalars(_unfinished(caller.account_id).with_for_update()):
            shared = _shared(claims, other)
            if shared and not _is_dead(other, now):
                raise Conflict(
                    f"a {other.kind} that {other.actor} called works on {shared[0]} right now",
                    hint="wait a moment for its end, then call again",
                )
            if shared:
                _fail(context, other, OrchestratorUnavailable("whoever carried it out died", hint="call again"))
        row = Procedure(
            id=uuid4(),
            account_id=caller.account_id,
            kind=kind,
            actor=caller.name,
            claims=claims,
            status=ProcedureStatus.QUEUED,
            lease_until=now + rules.queue_lease(context.limits.procedure_seconds),
            created_at=now,
            **fields,
        )
        session.add(row)
        return row


def _unfinished(account_id: UUID) -> Select[tuple[Procedure]]:
    return select(Procedure).where(Procedure.account_id == account_id, Procedure.status.in_(rules.UNFINISHED))


def _shared(claims: Sequence[str], other: Procedure) -> list[str]:
    return [claim for claim in claims if claim in other.claims]


def _is_dead(row: Procedure, now: datetime) -> bool:
    return rules.is_dead(lease_until=row.lease_until, now=now)


def _launch(context: Context, row: Procedure, run_name: str, *, key: UUID) -> None:
    try:
        context.launcher.launch(Work(row.kind), row.id, key=key, run_name=run_name)
    except Exception as error:
        fail(context, row.id, error)
        raise


def _wait(context: Context, row: Procedure, run_name: str) -> dict[str, Any]:
    deadline = time.monotonic() + context.limits.procedure_seconds
    look = FIRST_LOOK
    while True:
        with context.catalog.reading() as session:
            seen = session.get_one(Procedure, row.id)
        if seen.status not in rules.UNFINISHED:
            return _collect(context, row.id)
        if time.monotonic() >= deadline:
            _give_up(context, row.id, run_name)
        elif seen.status == ProcedureStatus.RUNNING and _is_dead(seen, context.clock.now()):
            _launch_again(context, seen, run_name)
        time.sleep(look)
        look = min(look * 1.5, LAST_LOOK)


def _collect(context: Context, procedure_id: UUID) -> dict[str, Any]:
    """Return the answer, which nobody can read after us."""
    with context.catalog.writing() as session:
        row = _locked(session, procedure_id)
        if row.status == ProcedureStatus.FAILED:
            raise reviving.revive(row.error or {})
        answer = opened(context, row)
        row.answer = None
    if not answer:
        raise Conflict("the answer was not read in time and is deleted", hint="call again")
    return answer


def _give_up(context: Context, procedure_id: UUID, run_name: str) -> None:
    """Take back what no run has taken up; leave alone what one works on."""
    seconds = round(context.limits.procedure_seconds)
    unheard = OrchestratorUnavailable(
        f"no worker took up {run_name} within {seconds} s",
        hint="see `bootpress doctor`; nothing was done, so call again",
        retry_after=AGAIN_AFTER,
    )
    with context.catalog.writing() as session:
        row = _locked(session, procedure_id)
        if row.status not in rules.UNFINISHED:
            return
        if row.status == ProcedureStatus.RUNNING:
            raise OrchestratorUnavailable(
                f"{run_name} is still running after {seconds} s",
                hint="call again when it is over: a repeat ends in the same state",
                retry_after=AGAIN_AFTER,
            )
        _fail(context, row, unheard)
    raise unheard


def _launch_again(context: Context, seen: Procedure, run_name: str) -> None:
    """Have another run go on for one that died."""
    with context.catalog.writing() as session:
        row = _locked(session, seen.id)
        if row.status != ProcedureStatus.RUNNING or row.lease_until != seen.lease_until:
            return
        row.status = rules.PROCEDURE.move("begin again", ProcedureStatus(row.status))
        row.flow_run_id = None
        row.lease_until = context.clock.now() + rules.queue_lease(context.limits.procedure_seconds)
    _launch(context, seen, run_name, key=uuid4())


def _fail(context: Context, row: Procedure, error: BaseException) -> None:
    row.status = rules.PROCEDURE.move("fail", ProcedureStatus(row.status))
    row.error = reviving.describe(error)
    row.answer = None
    row.finished_at = context.clock.now()


def _locked(session: Session, procedure_id: UUID) -> Procedure:
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
