"""`POST …/disk_image/built/{webhook_id}`: the HTTP side of the webhook receiver (CONTRACT.md, Webhook)."""

from __future__ import annotations

from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from bootpress.core.errors import InvalidInput
from bootpress.core.webhooks.announcement import MAX_BODY
from bootpress.core.webhooks.receiving import Bell, Ring
from bootpress.core.webhooks.storing import Receipt
from bootpress.surfaces.api import problems, reading
from bootpress.surfaces.api.dispatcher import Dispatcher
from bootpress.surfaces.api.threads import Together

THREADS = 1
"""With more, the groups that share a transaction are smaller, and one interpreter decides no faster for it."""


class BellDoor:
    """Reads the request, lets core decide, answers; the launch is the dispatcher's, on a thread of its own."""

    def __init__(self, bell: Bell, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._rings = Together(bell.receive_all, threads=THREADS)

    async def receive(self, request: Request) -> Response:
        """Answer one POST."""
        body = await reading.read_body(request, limit=MAX_BODY)
        reading.require_json(request)
        receipt = await self._decide(request, body)
        self._dispatcher.launch()
        return JSONResponse(
            {"status": "duplicate" if receipt.duplicate else "accepted", "delivery_id": str(receipt.delivery_id)},
            200 if receipt.duplicate else 202,
        )

    async def _decide(self, request: Request, body: bytes) -> Receipt:
        client = request.client.host if request.client else "unknown"
        try:
            return await self._rings.ask(Ring(_webhook_id(request), reading.header_values(request), body, client))
        except InvalidInput as error:
            if error.field is None:
                raise problems.unreadable(error) from error
            raise


def _webhook_id(request: Request) -> UUID | None:
    # One that is no UUID is answered like one that nobody has.
    try:
        return UUID(request.path_params["webhook_id"])
    except ValueError:
        return None
