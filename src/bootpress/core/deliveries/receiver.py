"""Webhook receiver: judge a POST, and store it durably before its answer (docs/reference/contract.md#webhook)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from bootpress.core.context import Context
from bootpress.core.deliveries.models import Delivery
from bootpress.core.deliveries.payload import read_announcement
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.deliveries.store import StoredDelivery, VerifiedDelivery, store_deliveries
from bootpress.core.errors import CatalogUnavailable, RateLimited, Unauthenticated
from bootpress.core.rate_limit import RateLimiter
from bootpress.core.url_validation import rate_limit_key
from bootpress.core.webhooks import credentials, hmac_signature
from bootpress.core.webhooks.service import new_secret

FAILURES_PER_SECOND = 1.0
FAILURES_AT_ONCE = 30


@dataclass(frozen=True, slots=True)
class WebhookRequest:
    """One POST, as it came: `headers` have lower-case names, `client` is the address that failures are counted by."""

    webhook_id: UUID | None
    headers: Mapping[str, str]
    body: bytes
    client: str


class WebhookReceiver:
    """Receives deliveries for every webhook of this installation."""

    def __init__(
        self, context: Context, *, rate: float, burst: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._rates = RateLimiter(rate=rate, burst=burst, monotonic=monotonic)
        self._failures = RateLimiter(rate=FAILURES_PER_SECOND, burst=FAILURES_AT_ONCE, monotonic=monotonic)
        self._decoy = context.secrets.encrypt(new_secret())  # nobody knows it

    def receive(
        self, webhook_id: UUID | None, *, headers: Mapping[str, str], body: bytes, client: str
    ) -> StoredDelivery:
        """Check the signature, the rate and the fields, and store the delivery; it is on disk when this returns.

        The arguments are those of a Ring. Raises Unauthenticated (one answer for unknown, disabled, revoked and badly
        signed), RateLimited, InvalidInput, CatalogUnavailable.
        """
        (outcome,) = self.receive_all([WebhookRequest(webhook_id, headers, body, client)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def receive_all(self, rings: Sequence[WebhookRequest]) -> list[StoredDelivery | Exception]:
        """Do for many at once, in one look and one transaction, what `receive` does for one.

        Returns what `receive` would return or raise, in the order of the rings; raises CatalogUnavailable where none of
        them could even be looked up.
        """
        ids = [ring.webhook_id or credentials.NIL_WEBHOOK_ID for ring in rings]
        known = credentials.load_credentials(
            self._context.catalog, ids, decoy=self._decoy, now=self._context.clock.now()
        )
        judged = [self._judged(ring, webhook) for ring, webhook in zip(rings, known, strict=True)]
        stored = iter(self._stored([one for one in judged if isinstance(one, VerifiedDelivery)]))
        return [next(stored) if isinstance(one, VerifiedDelivery) else one for one in judged]

    def _judged(self, ring: WebhookRequest, webhook: credentials.WebhookCredentials) -> VerifiedDelivery | Exception:
        try:
            return self._judge(ring, webhook)
        except Exception as error:  # noqa: BLE001 - one ring's, and the others' are to be judged
            return error

    def _judge(self, ring: WebhookRequest, webhook: credentials.WebhookCredentials) -> VerifiedDelivery:
        # Two decryptions and two HMACs, whatever there is: their number must not tell either.
        secrets = [self._context.secrets.decrypt(sealed) for sealed in webhook.secrets]
        held = hmac_signature.verify(ring.body, hmac_signature.signature_header(ring.headers), secrets)
        if not held or not webhook.is_active:
            # Only who fails is limited: behind one address there may be others, whose signatures hold.
            wait = self._failures.acquire(rate_limit_key(ring.client))
            if wait:
                raise RateLimited("too many bad signatures from this address", retry_after=wait)
            raise Unauthenticated(
                "the signature is missing or does not match",
                hint="check the webhook's URL and secret; provision_disk_image_webhook gives a new one",
            )
        wait = self._rates.acquire(webhook.id)
        if wait:
            raise RateLimited("this webhook sends faster than its rate", retry_after=wait)
        return VerifiedDelivery(webhook.id, webhook.account_id, webhook.label, ring.body, read_announcement(ring.body))

    def _stored(self, arrivals: Sequence[VerifiedDelivery]) -> Sequence[StoredDelivery | Exception]:
        try:
            return store_deliveries(self._context, arrivals) if arrivals else []
        except Exception as error:  # noqa: BLE001 - each ring's own, returned with it
            if len(arrivals) == 1 or isinstance(error, CatalogUnavailable):
                return [error] * len(arrivals)
            # One that cannot be stored must not take the others with it.
            return [self._stored([arrival])[0] for arrival in arrivals]


def count_waiting(context: Context) -> int:
    """Return how many deliveries are not finished."""
    with context.catalog.read_session() as session:
        query = select(func.count()).where(Delivery.status.in_([DeliveryStatus.RECEIVED, DeliveryStatus.PROCESSING]))
        return session.scalar(query) or 0
