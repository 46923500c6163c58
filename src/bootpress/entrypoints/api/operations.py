"""`/api/v1/operations`: every operation over HTTP (docs/reference/contract.md#operations)."""

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
from bootpress.core.context import Caller, Context
from bootpress.core.errors import InvalidInput, NotFound, RateLimited, Unauthenticated
from bootpress.core.operation import Operation
from bootpress.core.operation_registry import OPERATIONS
from bootpress.core.rate_limit import RateLimiter
from bootpress.core.strict_json import parse_object
from bootpress.entrypoints.api import problems, request_body
from bootpress.entrypoints.api.background import BackgroundLoops
from bootpress.entrypoints.api.batching import Bulkhead, Places, ThreadLimiter
from bootpress.entrypoints.operation_schema import operation_schema

MAX_BODY = 1024 * 1024
CALLS_PER_SECOND = 100
ACCOUNT_CALLS_PER_SECOND = 4 * CALLS_PER_SECOND
AUTHENTICATING = 3
"""Threads that look tokens up: an account is known only afterwards, so no account's calls run here."""
ORDINARY = Places(
    all=12,
    per_account=5,
    per_operation=5,
    patience=30,
    waiting=CALLS_PER_SECOND,  # what one token may send at once
    hint="an account's calls and pages get 5 of 12 threads, and 100 may wait: send fewer at once, and call again soon",
)
"""For calls and pages that wait for no outside server. With these, a database pool of 40 has room for every thread."""
T = TypeVar("T")
_PRIVATE = {"Cache-Control": "no-store"}


def token_rate_limiter(monotonic: Callable[[], float] = time.monotonic) -> RateLimiter:
    """Return how often one token may call."""
    return RateLimiter(rate=CALLS_PER_SECOND, burst=CALLS_PER_SECOND, monotonic=monotonic)


def account_rates(monotonic: Callable[[], float] = time.monotonic) -> RateLimiter:
    """Return how often all tokens of one account together may call: an account mints as many as it likes."""
    return RateLimiter(rate=ACCOUNT_CALLS_PER_SECOND, burst=ACCOUNT_CALLS_PER_SECOND, monotonic=monotonic)


class Authenticator:
    """Lets in who has a token, not more often than its rate and its account's, and gives accounts their threads."""

    def __init__(self, context: Context, rates: RateLimiter | None = None, together: RateLimiter | None = None) -> None:
        self._context = context
        self._rates = rates or token_rate_limiter()
        self._together = together or account_rates()
        self._authenticating = ThreadLimiter(AUTHENTICATING)
        self._ordinary = Bulkhead(ORDINARY)

    async def authenticate(self, request: Request) -> Caller:
        """Return who calls; a Problem 401 with a challenge, or RateLimited."""
        try:
            return await self.authenticate_token(request_body.bearer_token(request))
        except Unauthenticated as error:
            raise problems.with_bearer_challenge(error) from error

    async def authenticate_token(self, token: str) -> Caller:
        """Return whose token this is; Unauthenticated, or RateLimited."""
        caller = await self._authenticating.run(lambda: accounts.authenticate(self._context, token))
        wait = self._rates.acquire(caller.token_id)
        if wait:
            raise RateLimited(f"this token calls more than {CALLS_PER_SECOND} times a second", retry_after=wait)
        wait = self._together.acquire(caller.account_id)
        if wait:
            raise RateLimited(
                f"the tokens of this account together call more than {ACCOUNT_CALLS_PER_SECOND} times a second",
                retry_after=wait,
            )
        return caller

    async def run(self, caller: Caller, what: str, work: Callable[[], T]) -> T:
        """Return what a caller's call or page returns, on a thread of the caller's account; RateLimited without one."""
        return await self._ordinary.run(caller.account_id, what, work)


class OperationsEndpoint:
    """Calls operations, and tells which there are."""

    def __init__(
        self, context: Context, gate: Authenticator, dispatcher: BackgroundLoops, outside: Places | None = None
    ) -> None:
        self._context = context
        self._gate = gate
        self._dispatcher = dispatcher
        self._outside = Bulkhead(outside)

    async def list(self, request: Request) -> Response:
        """Answer with every operation: names, summaries, permissions, JSON Schemas."""
        await self._gate.authenticate(request)
        return JSONResponse(_listing())

    async def call(self, request: Request) -> Response:
        """Call one operation."""
        caller = await self._gate.authenticate(request)
        operation = _find(request.path_params["name"])
        fields = _fields(await request_body.read_body(request, limit=MAX_BODY))
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
        return await self._gate.run(caller, operation.name, work)


@functools.cache
def _listing() -> dict[str, Any]:
    return {"operations": [operation_schema(operation) for operation in OPERATIONS.values()]}


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
        raise problems.malformed_body(error) from error
