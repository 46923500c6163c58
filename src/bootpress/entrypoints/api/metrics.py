"""What /metrics shows, in Prometheus' text format, and the middleware that counts it."""

from __future__ import annotations

import time
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bootpress.core.breakers.rules import Phase
from bootpress.core.operation_registry import OPERATIONS
from bootpress.core.webhooks.service import PATH as WEBHOOK_PATH
from bootpress.entrypoints.api import problems

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4
OPERATIONS_PATH = "/api/v1/operations/"


class Metrics:
    """The numbers of one API process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._webhook = Counter(
            "bootpress_webhook_responses", "Webhook posts, by answer", ["status"], registry=self._registry
        )
        self._operations = Counter(
            "bootpress_operation_calls", "Operation calls, by answer", ["operation", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "bootpress_http_request_duration_seconds",
            "Time from request to answer",
            ["handler"],
            registry=self._registry,
        )
        self._unfinished = Gauge(
            "bootpress_deliveries_pending", "Deliveries that are not finished", registry=self._registry
        )
        self._breakers = Gauge(
            "bootpress_registry_circuit_breakers",
            "Registry hosts of accounts that fail, by the state of their circuit breaker",
            ["state"],
            registry=self._registry,
        )

        self._near_budget = Gauge(
            "bootpress_webhooks_near_budget",
            "Webhooks that have stored four fifths of their daily budget, or all of it",
            registry=self._registry,
        )

    def count(self, path: str, status: int, seconds: float) -> None:
        """Count one answer; paths that strangers made up are counted together."""
        if path.startswith(WEBHOOK_PATH):
            self._webhook.labels(status).inc()
            self._seconds.labels("webhook").observe(seconds)
        elif path.startswith(OPERATIONS_PATH):
            name = path.removeprefix(OPERATIONS_PATH)
            self._operations.labels(name if name in OPERATIONS else "unknown", status).inc()
            self._seconds.labels("operations").observe(seconds)
        elif path.startswith("/app/"):
            self._seconds.labels("console").observe(seconds)
        else:
            self._seconds.labels("other").observe(seconds)

    def render(self, *, unfinished: int, near_budget: int, breakers: Mapping[Phase, int]) -> bytes:
        """Return the exposition; hosts are not named, since tokens of every account may read it."""
        self._unfinished.set(unfinished)
        self._near_budget.set(near_budget)
        for phase in Phase:
            self._breakers.labels(phase).set(breakers.get(phase, 0))
        return generate_latest(self._registry)


class MetricsMiddleware:
    """Times every request and notes the status it was answered with; answers what no handler expected."""

    def __init__(self, app: ASGIApp, measures: Metrics) -> None:
        self._app = app
        self._measures = measures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                self._measures.count(scope["path"], message["status"], time.perf_counter() - began)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            if started:
                raise
            await problems.internal_error(error).response()(scope, receive, sending)
