"""HTTP application: endpoints, their paths, and the background loops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from bootpress.core.context import Context
from bootpress.core.deliveries.receiver import WebhookReceiver
from bootpress.core.rate_limit import RateLimiter
from bootpress.core.webhooks.service import PATH as WEBHOOK_PATH
from bootpress.entrypoints.api import openapi, problems
from bootpress.entrypoints.api.background import BackgroundLoops
from bootpress.entrypoints.api.health import HealthEndpoints
from bootpress.entrypoints.api.http_protocol import RejectAmbiguousFraming
from bootpress.entrypoints.api.metrics import OPERATIONS_PATH, Metrics, MetricsMiddleware
from bootpress.entrypoints.api.operations import Authenticator, OperationsEndpoint
from bootpress.entrypoints.api.targets import TargetForms, hosts_of
from bootpress.entrypoints.api.webhooks import WebhookEndpoint
from bootpress.entrypoints.console import routes as console
from bootpress.settings import Settings


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
    dispatcher = BackgroundLoops(context)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        dispatcher.start()
        yield
        dispatcher.stop()

    app = FastAPI(
        title="bootpress", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False
    )
    problems.install(app)
    measures = Metrics()
    app.add_middleware(RejectAmbiguousFraming)
    app.add_middleware(MetricsMiddleware, measures=measures)
    app.add_middleware(TargetForms, names=[*hosts_of(context.public_url), settings.host])  # the outermost: last
    gate = Authenticator(context, token_rates, account_rates)
    _add_endpoints(app, context, gate, dispatcher, measures, settings)
    return app


def _add_endpoints(
    app: FastAPI,
    context: Context,
    gate: Authenticator,
    dispatcher: BackgroundLoops,
    measures: Metrics,
    settings: Settings,
) -> None:
    bell = WebhookEndpoint(
        WebhookReceiver(context, rate=settings.webhook_rate, burst=settings.webhook_burst), dispatcher
    )
    app.add_route(WEBHOOK_PATH + "{webhook_id}", bell.receive, methods=["POST"])
    operations = OperationsEndpoint(context, gate, dispatcher)
    app.add_route(OPERATIONS_PATH.rstrip("/"), operations.list, methods=["GET"])
    app.add_route(OPERATIONS_PATH + "{name}", operations.call, methods=["POST"])
    health = HealthEndpoints(context, gate, measures)
    app.add_route("/healthz", health.alive, methods=["GET"])
    app.add_route("/readyz", health.ready, methods=["GET"])
    app.add_route("/metrics", health.metrics, methods=["GET"])
    console.install(app, context, gate, home=settings.home)

    async def described(request: Request) -> Response:
        await gate.authenticate(request)
        return JSONResponse(openapi.document())

    app.add_route("/api/openapi.json", described, methods=["GET"])
