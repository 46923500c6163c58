"""Repeat a mutation safely: one key, one effect (docs/reference/contract.md#idempotency)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError

from bootpress.core.accounts.models import IdempotencyRecord
from bootpress.core.context import Caller, Context
from bootpress.core.errors import Conflict, InvalidInput
from bootpress.core.operation import Operation
from bootpress.core.pieces import delete_in_pieces

RETENTION = timedelta(hours=24)
MAX_KEY = 255
ABANDONED = timedelta(minutes=5)
"""How long a first call may take; one that has no answer by then died, and nobody knows how far it came."""


def call_once(
    context: Context, caller: Caller, operation: Operation[Any, Any], fields: Mapping[str, Any], key: str | None
) -> tuple[dict[str, Any], bool]:
    """Call an operation; return its answer as JSON values, and whether it was stored by an earlier call.

    A stored answer has null for each of its secrets. Raises InvalidInput when the key was used with other fields,
    Conflict while the first call is still running, and when it ended without an answer: to call again could have a
    second effect.
    """
    if key is None or not operation.changes:
        return operation.call(context, caller, fields).model_dump(mode="json"), False
    if not 0 < len(key) <= MAX_KEY or not key.isprintable():
        raise InvalidInput(f"an Idempotency-Key has 1 to {MAX_KEY} printable characters", field="Idempotency-Key")
    operation.authorize(caller)  # a stored answer is for those who may call, too
    stored = _reserve(context, caller, operation.name, key, _fingerprints(context, caller, fields))
    if stored is not None:
        return stored, True
    try:
        answer: dict[str, Any] = operation.call(context, caller, fields).model_dump(mode="json")
    except BaseException:
        _forget(context, caller, operation.name, key)
        raise
    _keep(context, caller, operation, key, answer)
    return answer, False


def _fingerprints(context: Context, caller: Caller, fields: Mapping[str, Any]) -> list[bytes]:
    # Under our own keys: fields hold passwords, which whoever reads the catalog could else guess and compare. With the
    # account's id: the same fields of two accounts do not show as the same.
    text = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return context.secrets.fingerprints(caller.account_id.bytes + text)


def _reserve(
    context: Context, caller: Caller, operation: str, key: str, fingerprints: list[bytes]
) -> dict[str, Any] | None:
    now = context.clock.now()
    reservation = IdempotencyRecord(
        id=uuid4(),
        account_id=caller.account_id,
        operation=operation,
        key=key,
        request_hmac=fingerprints[0],
        answer=None,
        created_at=now,
    )
    delete_in_pieces(context.catalog, IdempotencyRecord, IdempotencyRecord.created_at < now - RETENTION)
    try:
        with context.catalog.transaction() as session:
            session.add(reservation)
    except IntegrityError:
        return _stored(context, caller, operation, key, fingerprints)
    return None


def _stored(context: Context, caller: Caller, operation: str, key: str, fingerprints: list[bytes]) -> dict[str, Any]:
    with context.catalog.read_session() as session:
        row = session.scalar(
            select(IdempotencyRecord).where(
                IdempotencyRecord.account_id == caller.account_id,
                IdempotencyRecord.operation == operation,
                IdempotencyRecord.key == key,
            )
        )
    if row is not None and row.request_hmac not in fingerprints:
        raise InvalidInput("this Idempotency-Key was used with other fields", field="Idempotency-Key")
    if row is not None and row.answer is None and row.created_at < context.clock.now() - ABANDONED:
        raise Conflict(
            "the first call with this Idempotency-Key ended without an answer: its outcome is unknown",
            hint="look whether it had its effect; if not, call again with another key",
        )
    if row is None or row.answer is None:
        raise Conflict("the first call with this Idempotency-Key is still running", hint="repeat it in a moment")
    return row.answer


def _keep(context: Context, caller: Caller, operation: Operation[Any, Any], key: str, answer: dict[str, Any]) -> None:
    public = {name: None if name in operation.secrets else value for name, value in answer.items()}
    with context.catalog.transaction() as session:
        row = session.scalar(
            select(IdempotencyRecord).where(
                IdempotencyRecord.account_id == caller.account_id,
                IdempotencyRecord.operation == operation.name,
                IdempotencyRecord.key == key,
            )
        )
        if row is not None:
            row.answer = public


def _forget(context: Context, caller: Caller, operation: str, key: str) -> None:
    with context.catalog.transaction() as session:
        session.execute(_named(caller, operation, key))


def _named(caller: Caller, operation: str, key: str) -> Any:
    return delete(IdempotencyRecord).where(
        IdempotencyRecord.account_id == caller.account_id,
        IdempotencyRecord.operation == operation,
        IdempotencyRecord.key == key,
    )
