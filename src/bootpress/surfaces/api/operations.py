"""`/api/v1/operations`: every operation of the catalogue over HTTP (CONTRACT.md, Operations)."""

from __future__ import annotations

import difflib
import functools
import time
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from bootpress.core.accounts import service as accounts
from bootpress.core.accounts.idempotency import call_once
from bootpress.core.catalogue import OPERATIONS
from bootpress.core.context import Caller, Context
from bootpress.core.errors import InvalidInput, NotFound, RateLimited, Unauthenticated
from bootpress.core.operations import Operation
from bootpress.core.strict_json import parse_object
from bootpress.core.webhooks.rates import RateLimiter
from bootpress.surfaces.api import problems, reading
from bootpress.surfaces.api.dispatcher import Dispatcher
from bootpress.surfaces.api.threads import Bulkhead, Places, Threads
from bootpress.surfaces.describing import describe

THREADS = 16
MAX_BODY = 1024 * 1024
CALLS_PER_SECOND = 100
T = TypeVar("T")
_PRIVATE = {"Cache-Control": "no-store"}


def token_rates(monotonic: Callable[[], float] = time.monotonic) -> RateLimiter:
    """Return how often one token may call."""
    return RateLimiter(rate=CALLS_PER_SECOND, burst=CALLS_PER_SECOND, monotonic=monotonic)


class Gate:
    """Lets in who has a token, and not more often than its rate."""

    def __init__(self, context: Context, rates: RateLimiter | None = None) -> None:
        self._context = context
        self._rates = rates or token_rates()
        self.threads = Threads(THREADS)

    async def admit(self, request: Request) -> Caller:
        """Return who calls; a Problem 401 with a challenge, or RateLimited."""
        try:
            return await self.admit_token(reading.bearer_token(request))
        except Unauthenticated as error:
            raise problems.challenged(error) from error

    async def admit_token(self, token: str) -> Caller:
        """Return whose token this is; Unauthenticated, or RateLimited."""
        caller = await self.threads.run(lambda: accounts.authenticate(self._context, token))
        wait = self._rates.wait(caller.token_id)
        if wait:
            raise RateLimited(f"this token calls more than {CALLS_PER_SECOND} times a second", retry_after=wait)
        return caller


class OperationsDoor:
    """Calls operations, and tells which there are."""

    def __init__(self, context: Context, gate: Gate, dispatcher: Dispatcher, outside: Places | None = None) -> None:
        self._context = context
        self._gate = gate
        self._dispatcher = dispatcher
        self._outside = Bulkhead(outside)

    async def list(self, request: Request) -> Response:
        """Answer with every operation: names, summaries, permissions, JSON Schemas."""
        await self._gate.admit(request)
        return JSONResponse(_listing())

    async def call(self, request: Request) -> Response:
        """Call one operation."""
        caller = await self._gate.admit(request)
        operation = _find(request.path_params["name"])
        fields = _fields(await reading.read_body(request, limit=MAX_BODY))
        key = request.headers.get("idempotency-key")
        answer, replayed = await self._run(
            caller, operation, lambda: call_once(self._context, caller, operation, fields, key)
        )
        if operation.changes:
            self._dispatcher.wake()
        return JSONResponse(answer, headers=_PRIVATE | ({"Idempotent-Replayed": "true"} if replayed else {}))

    async def _run(self, caller: Caller, operation: Operation[Any, Any], work: Callable[[], T]) -> T:
        if operation.asks_outside:
            return await self._outside.run(caller.account_id, operation.name, work)
        return await self._gate.threads.run(work)


@functools.cache
def _listing() -> dict[str, Any]:
    return {"operations": [describe(operation) for operation in OPERATIONS.values()]}


def _find(name: str) -> Operation[Any, Any]:
    operation = OPERATIONS.get(name)
    if operation is None:
        close = difflib.get_close_matches(name[:100], OPERATIONS, n=1)
        hint = f"did you mean {close[0]}?" if close else "`bootpress operations`, or GET /api/v1/operations, lists them"
        raise NotFound(f"no operation {name[:100]}", hint=hint)
    return operation


def _fields(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        return parse_object(body, what="the body")
    except InvalidInput as error:
        raise problems.unreadable(error) from error
