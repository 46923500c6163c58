"""`POST …/disk_image/built/{webhook_id}`: the webhook over HTTP (docs/reference/contract.md#webhook)."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from bootpress.core.deliveries.payload import MAX_BODY
from bootpress.core.deliveries.receiver import WebhookReceiver, WebhookRequest
from bootpress.core.deliveries.store import StoredDelivery
from bootpress.core.errors import InvalidInput
from bootpress.entrypoints.api import problems, request_body
from bootpress.entrypoints.api.background import BackgroundLoops
from bootpress.entrypoints.api.batching import MicroBatcher

THREADS = 1
"""With more, the groups that share a transaction are smaller, and one interpreter decides no faster for it."""


class WebhookEndpoint:
    """Reads the request, lets core decide, answers; the launch is the dispatcher's, on a thread of its own."""

    def __init__(self, bell: WebhookReceiver, dispatcher: BackgroundLoops) -> None:
        self._dispatcher = dispatcher
        self._rings = MicroBatcher(bell.receive_all, threads=THREADS)

    async def receive(self, request: Request) -> Response:
        """Answer one POST."""
        body = await request_body.read_body(request, limit=MAX_BODY)
        request_body.require_json(request)
        receipt = await self._decide(request, body)
        self._dispatcher.wake_relay()
        return JSONResponse(
            {"status": "duplicate" if receipt.duplicate else "accepted", "delivery_id": str(receipt.delivery_id)},
            200 if receipt.duplicate else 202,
        )

    async def _decide(self, request: Request, body: bytes) -> StoredDelivery:
        client = request.client.host if request.client else "unknown"
        try:
            return await self._rings.submit(
                WebhookRequest(_webhook_id(request), request_body.header_values(request), body, client)
            )
        except InvalidInput as error:
            if error.field is None:
                raise problems.malformed_body(error) from error
            raise


def _webhook_id(request: Request) -> UUID | None:
    # One that is no UUID is answered like one that nobody has.
    try:
        return UUID(request.path_params["webhook_id"])
    except ValueError:
        return None
