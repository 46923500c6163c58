"""The HTTP application: doors, their paths, and what runs beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from bootpress.core.context import Context
from bootpress.core.webhooks.rates import RateLimiter
from bootpress.core.webhooks.receiving import Bell
from bootpress.core.webhooks.service import PATH as WEBHOOK_PATH
from bootpress.settings import Settings
from bootpress.surfaces.api import openapi, problems
from bootpress.surfaces.api.bell import BellDoor
from bootpress.surfaces.api.connections import FramedOnce
from bootpress.surfaces.api.dispatcher import Dispatcher
from bootpress.surfaces.api.health import HealthDoor
from bootpress.surfaces.api.measures import OPERATIONS_PATH, Measures, Measuring
from bootpress.surfaces.api.operations import Gate, OperationsDoor
from bootpress.surfaces.api.targets import TargetForms, hosts_of
from bootpress.surfaces.console import door as console


def create_app(
    context: Context,
    *,
    settings: Settings,
    token_rates: RateLimiter | None = None,
    account_rates: RateLimiter | None = None,
) -> FastAPI:
    """Return the application; its dispatcher runs from the server's start to its end.

    `token_rates`: how often one token may call, by default 100 times a second; `account_rates` an account, 400.
    """
    dispatcher = Dispatcher(context)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        dispatcher.start()
        yield
        dispatcher.stop()

    app = FastAPI(
        title="bootpress", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False
    )
    problems.install(app)
    measures = Measures()
    app.add_middleware(FramedOnce)
    app.add_middleware(Measuring, measures=measures)
    app.add_middleware(TargetForms, names=[*hosts_of(context.public_url), settings.host])  # the outermost: last
    gate = Gate(context, token_rates, account_rates)
    _add_doors(app, context, gate, dispatcher, measures, settings)
    return app


def _add_doors(
    app: FastAPI, context: Context, gate: Gate, dispatcher: Dispatcher, measures: Measures, settings: Settings
) -> None:
    bell = BellDoor(Bell(context, rate=settings.webhook_rate, burst=settings.webhook_burst), dispatcher)
    app.add_route(WEBHOOK_PATH + "{webhook_id}", bell.receive, methods=["POST"])
    operations = OperationsDoor(context, gate, dispatcher)
    app.add_route(OPERATIONS_PATH.rstrip("/"), operations.list, methods=["GET"])
    app.add_route(OPERATIONS_PATH + "{name}", operations.call, methods=["POST"])
    health = HealthDoor(context, gate, measures)
    app.add_route("/healthz", health.alive, methods=["GET"])
    app.add_route("/readyz", health.ready, methods=["GET"])
    app.add_route("/metrics", health.metrics, methods=["GET"])
    console.install(app, context, gate, home=settings.home)

    async def described(request: Request) -> Response:
        await gate.admit(request)
        return JSONResponse(openapi.document())

    app.add_route("/api/openapi.json", described, methods=["GET"])
