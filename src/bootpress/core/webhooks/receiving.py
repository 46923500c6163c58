"""The bell: decide about one POST, and store it durably before it is answered (CONTRACT.md, Webhook)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import func, select

from bootpress.core.addresses import client_of
from bootpress.core.context import Context
from bootpress.core.errors import RateLimited, Unauthenticated
from bootpress.core.together import Together
from bootpress.core.webhooks import lookup, signatures
from bootpress.core.webhooks.announcement import read_announcement
from bootpress.core.webhooks.models import Delivery
from bootpress.core.webhooks.rates import RateLimiter
from bootpress.core.webhooks.service import new_secret
from bootpress.core.webhooks.states import DeliveryStatus
from bootpress.core.webhooks.storing import Arrival, Receipt, Storing

FAILURES_PER_SECOND = 1.0
FAILURES_AT_ONCE = 30


class Bell:
    """Receives deliveries for every webhook of this installation."""

    def __init__(
        self, context: Context, *, rate: float, burst: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._webhooks = Together(self._find_webhooks)
        self._storing = Storing(context)
        self._rates = RateLimiter(rate=rate, burst=burst, monotonic=monotonic)
        self._failures = RateLimiter(rate=FAILURES_PER_SECOND, burst=FAILURES_AT_ONCE, monotonic=monotonic)
        self._decoy = context.secrets.seal(new_secret())  # nobody knows it

    def receive(self, webhook_id: UUID | None, *, headers: Mapping[str, str], body: bytes, client: str) -> Receipt:
        """Check the signature, the rate and the fields, and store the delivery; it is on disk when this returns.

        `headers` have lower-case names; `client` is the address that failures are counted by. Raises
        Unauthenticated (one answer for unknown, disabled, revoked and badly signed), RateLimited, InvalidInput,
        CatalogUnavailable.
        """
        webhook = self._authenticate(webhook_id or lookup.NOBODY, headers, body)
        if webhook is None:
            # Only who fails is limited: behind one address there may be others, whose signatures hold.
            wait = self._failures.wait(client_of(client))
            if wait:
                raise RateLimited("too many bad signatures from this address", retry_after=wait)
            raise Unauthenticated(
                "the signature is missing or does not match",
                hint="check the webhook's URL and secret; provision_disk_image_webhook gives a new one",
            )
        wait = self._rates.wait(webhook.id)
        if wait:
            raise RateLimited("this webhook sends faster than its rate", retry_after=wait)
        arrival = Arrival(webhook.id, webhook.account_id, webhook.label, body, read_announcement(body))
        return self._storing.store(arrival)

    def _find_webhooks(self, ids: Sequence[UUID]) -> list[lookup.Known]:
        return lookup.find(self._context.catalog, ids, decoy=self._decoy, now=self._context.clock.now())

    def _authenticate(self, webhook_id: UUID, headers: Mapping[str, str], body: bytes) -> lookup.Known | None:
        webhook = self._webhooks.ask(webhook_id)
        # Two decryptions and two HMACs, whatever there is: their number must not tell either.
        secrets = [self._context.secrets.open(sealed) for sealed in webhook.secrets]
        held = signatures.matches(body, signatures.presented(headers), secrets)
        return webhook if held and webhook.is_active else None


def count_waiting(context: Context) -> int:
    """Return how many deliveries are not finished."""
    with context.catalog.reading() as session:
        query = select(func.count()).where(Delivery.status.in_([DeliveryStatus.RECEIVED, DeliveryStatus.PROCESSING]))
        return session.scalar(query) or 0
