"""The caller's side of sagas: enter one, have a flow carry it out, wait for its answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import Select, select

from bootpress.core import advisory_locks
from bootpress.core.context import Caller, Context
from bootpress.core.errors import Conflict, OrchestratorUnavailable, RateLimited
from bootpress.core.ports import JobKind
from bootpress.core.sagas import error_codec, rules
from bootpress.core.sagas.models import Saga
from bootpress.core.sagas.states import SagaKind, SagaStatus
from bootpress.core.sagas.store import decrypt_answer, end, fail, get_for_update, is_dead

MIN_POLL: Final = 0.05
MAX_POLL: Final = 0.5
"""Seconds between looks at a row: fewer at first, since most sagas take a second or two."""
RETRY_AFTER: Final = 10.0
T = TypeVar("T")


class ResourceBusy(Conflict):
    """Another saga works on the same."""


def run_saga(
    context: Context,
    caller: Caller,
    kind: SagaKind,
    *,
    request: Mapping[str, Any],
    claims: Sequence[str],
    run_name: str,
    effects: Mapping[str, Any] | None = None,
    ci_worker_id: UUID | None = None,
) -> dict[str, Any]:
    """Have a flow carry out a saga; return its answer, or raise what it failed with.

    `claims` says in words what no other saga of the account may work on meanwhile; `effects` is what was found
    already. Raises Conflict while another one has a claim, OrchestratorUnavailable when nobody takes it up, or it takes
    longer than `limits.saga_seconds`.
    """
    with _place(context):
        row = _enter(
            context,
            caller,
            kind,
            request=dict(request),
            claims=list(claims),
            step_results=dict(effects or {}),
            ci_worker_id=ci_worker_id,
        )
        _launch(context, row, run_name, key=row.id)
        return _wait(context, row, run_name)


def wait_and_retry_when_busy(context: Context, account_id: UUID, claims: Sequence[str], do: Callable[[], T]) -> T:
    """Do what looks around and then `call`s when no other saga works on these, and again if one was quicker.

    Raises Claimed while one is alive for longer than it takes to see that it is dead.
    """
    _await(context, account_id, claims)
    try:
        return do()
    except ResourceBusy:
        _await(context, account_id, claims)
        return do()


def _await(context: Context, account_id: UUID, claims: Sequence[str]) -> None:
    deadline = time.monotonic() + min(rules.DEAD_LEASE_TIMEOUT.total_seconds(), context.limits.saga_seconds)
    with _place(context):
        while time.monotonic() < deadline and _is_claimed(context, account_id, claims):
            time.sleep(MAX_POLL)


def _is_claimed(context: Context, account_id: UUID, claims: Sequence[str]) -> bool:
    now = context.clock.now()
    with context.catalog.read_session() as session:
        others = session.scalars(_unfinished(account_id)).all()
    return any(_shared(claims, other) and not is_dead(other, now) for other in others)


def _enter(context: Context, caller: Caller, kind: SagaKind, *, claims: list[str], **fields: Any) -> Saga:
    now = context.clock.now()
    with context.catalog.transaction() as session:
        advisory_locks.acquire(session, [f"sagas of {caller.account_id}"])
        for other in session.scalars(_unfinished(caller.account_id).with_for_update()):
            shared = _shared(claims, other)
            if shared and not is_dead(other, now):
                raise ResourceBusy(
                    f"a {other.kind} that {other.actor} called works on {shared[0]} right now",
                    hint="wait a moment for its end, then call again",
                )
            if shared:
                end(context, other, OrchestratorUnavailable("whoever carried it out died", hint="call again"))
        row = Saga(
            id=uuid4(),
            account_id=caller.account_id,
            kind=kind,
            actor=caller.name,
            resource_keys=claims,
            status=SagaStatus.QUEUED,
            lease_expires_at=now + rules.queue_lease(context.limits.saga_seconds),
            created_at=now,
            **fields,
        )
        session.add(row)
        return row


@contextmanager
def _place(context: Context) -> Iterator[None]:
    """Take a place among those who wait; RateLimited where there is none, so that others are served meanwhile."""
    if not context.callers_waiting.acquire(blocking=False):
        raise RateLimited(
            "as many calls as may wait for flows at once do so already", retry_after=RETRY_AFTER, hint="try again soon"
        )
    try:
        yield
    finally:
        context.callers_waiting.release()


def _unfinished(account_id: UUID) -> Select[tuple[Saga]]:
    return select(Saga).where(Saga.account_id == account_id, Saga.status.in_(rules.UNFINISHED))


def _shared(claims: Sequence[str], other: Saga) -> list[str]:
    return [claim for claim in claims if claim in other.resource_keys]


def _launch(context: Context, row: Saga, run_name: str, *, key: UUID) -> None:
    try:
        context.launcher.launch(JobKind(row.kind), row.id, key=key, run_name=run_name)
    except Exception as error:
        fail(context, row.id, error)
        raise


def _wait(context: Context, row: Saga, run_name: str) -> dict[str, Any]:
    deadline = time.monotonic() + context.limits.saga_seconds
    look = MIN_POLL
    while True:
        with context.catalog.read_session() as session:
            seen = session.get_one(Saga, row.id)
        if seen.status not in rules.UNFINISHED:
            return _collect(context, row.id)
        if time.monotonic() >= deadline:
            _give_up(context, row.id, run_name)
        elif seen.status == SagaStatus.RUNNING and is_dead(seen, context.clock.now()):
            _launch_again(context, seen, run_name)
        time.sleep(look)
        look = min(look * 1.5, MAX_POLL)


def _collect(context: Context, saga_id: UUID) -> dict[str, Any]:
    """Return the answer, which nobody can read after us."""
    with context.catalog.transaction() as session:
        row = get_for_update(session, saga_id)
        if row.status == SagaStatus.FAILED:
            raise error_codec.deserialize_error(row.error or {})
        answer = decrypt_answer(context, row)
        row.encrypted_result = None
    if not answer:
        raise Conflict("the answer was not read in time and is deleted", hint="call again")
    return answer


def _give_up(context: Context, saga_id: UUID, run_name: str) -> None:
    """Take back what no run has taken up; leave alone what one works on."""
    seconds = round(context.limits.saga_seconds)
    unheard = OrchestratorUnavailable(
        f"no worker took up {run_name} within {seconds} s",
        hint="see `bootpress doctor`; nothing was done, so call again",
        retry_after=RETRY_AFTER,
    )
    with context.catalog.transaction() as session:
        row = get_for_update(session, saga_id)
        if row.status not in rules.UNFINISHED:
            return
        if row.status == SagaStatus.RUNNING:
            raise OrchestratorUnavailable(
                f"{run_name} is still running after {seconds} s",
                hint="call again when it is over: a repeat ends in the same state",
                retry_after=RETRY_AFTER,
            )
        end(context, row, unheard)
    raise unheard


def _launch_again(context: Context, seen: Saga, run_name: str) -> None:
    """Have another run go on for one that died."""
    with context.catalog.transaction() as session:
        row = get_for_update(session, seen.id)
        if row.status != SagaStatus.RUNNING or row.lease_expires_at != seen.lease_expires_at:
            return
        row.status = rules.SAGA.transition("begin again", SagaStatus(row.status))
        row.flow_run_id = None
        row.lease_expires_at = context.clock.now() + rules.queue_lease(context.limits.saga_seconds)
    _launch(context, seen, run_name, key=uuid4())
