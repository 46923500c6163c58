"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import select

from bootpress import schema
from bootpress.core.breakers import service as breakers
from bootpress.core.context import Context
from bootpress.core.deliveries import budgets
from bootpress.core.deliveries.receiver import count_waiting
from bootpress.core.errors import CatalogUnavailable
from bootpress.entrypoints.api.batching import Bulkhead, Places, ThreadLimiter
from bootpress.entrypoints.api.metrics import MEDIA_TYPE, Metrics
from bootpress.entrypoints.api.operations import Authenticator

RENDERING = Places(
    all=1, per_account=1, per_operation=1, patience=30, hint="the metrics are asked for too often; ask again later"
)
"""A thread of its own: who watches bootpress waits for no operation; accounts take turns."""


class HealthEndpoints:
    """Says how this process is."""

    def __init__(self, context: Context, gate: Authenticator, measures: Metrics) -> None:
        self._context = context
        self._gate = gate
        self._measures = measures
        # Threads of its own: a probe is answered while all others work.
        self._threads = ThreadLimiter(2)
        self._rendering = Bulkhead(RENDERING)

    async def alive(self, request: Request) -> Response:
        """Answer that the process is up."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Answer that the database is there with the schema of this version; CatalogUnavailable otherwise."""
        await self._threads.run(self._check)
        return JSONResponse({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Answer with the numbers of this process."""
        caller = await self._gate.authenticate(request)
        text = await self._rendering.run(caller.account_id, "metrics", self._render)
        return Response(text, media_type=MEDIA_TYPE)

    def _render(self) -> bytes:
        limit = self._context.limits.webhook_daily_bytes
        near = budgets.near(self._context.catalog, limit=limit, now=self._context.clock.now())
        unfinished, states = count_waiting(self._context), breakers.count(self._context)
        return self._measures.render(unfinished=unfinished, near_budget=len(near), breakers=states)

    def _check(self) -> None:
        with self._context.catalog.read_session() as session:
            session.execute(select(1))
        if not schema.is_current(self._context.catalog):
            raise CatalogUnavailable(
                "the database has not the schema of this version", hint="`bootpress up` brings it up to date"
            )
