"""The bell: decide about one POST, and store it durably before it is answered (CONTRACT.md, Webhook)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select

from bootpress.core.addresses import client_of
from bootpress.core.context import Context
from bootpress.core.errors import CatalogUnavailable, RateLimited, Unauthenticated
from bootpress.core.webhooks import lookup, signatures
from bootpress.core.webhooks.announcement import read_announcement
from bootpress.core.webhooks.models import Delivery
from bootpress.core.webhooks.rates import RateLimiter
from bootpress.core.webhooks.service import new_secret
from bootpress.core.webhooks.states import DeliveryStatus
from bootpress.core.webhooks.storing import Arrival, Receipt, store_all

FAILURES_PER_SECOND = 1.0
FAILURES_AT_ONCE = 30


@dataclass(frozen=True, slots=True)
class Ring:
    """One POST, as it came: `headers` have lower-case names, `client` is the address that failures are counted by."""

    webhook_id: UUID | None
    headers: Mapping[str, str]
    body: bytes
    client: str


class Bell:
    """Receives deliveries for every webhook of this installation."""

    def __init__(
        self, context: Context, *, rate: float, burst: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._rates = RateLimiter(rate=rate, burst=burst, monotonic=monotonic)
        self._failures = RateLimiter(rate=FAILURES_PER_SECOND, burst=FAILURES_AT_ONCE, monotonic=monotonic)
        self._decoy = context.secrets.seal(new_secret())  # nobody knows it

    def receive(self, webhook_id: UUID | None, *, headers: Mapping[str, str], body: bytes, client: str) -> Receipt:
        """Check the signature, the rate and the fields, and store the delivery; it is on disk when this returns.

        The arguments are those of a Ring. Raises Unauthenticated (one answer for unknown, disabled, revoked and badly
        signed), RateLimited, InvalidInput, CatalogUnavailable.
        """
        (outcome,) = self.receive_all([Ring(webhook_id, headers, body, client)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def receive_all(self, rings: Sequence[Ring]) -> list[Receipt | Exception]:
        """Do for many at once, in one look and one transaction, what `receive` does for one.

        Returns what `receive` would return or raise, in the order of the rings; raises CatalogUnavailable where none of
        them could even be looked up.
        """
        ids = [ring.webhook_id or lookup.NOBODY for ring in rings]
        known = lookup.find(self._context.catalog, ids, decoy=self._decoy, now=self._context.clock.now())
        judged = [self._judged(ring, webhook) for ring, webhook in zip(rings, known, strict=True)]
        stored = iter(self._stored([one for one in judged if isinstance(one, Arrival)]))
        return [next(stored) if isinstance(one, Arrival) else one for one in judged]

    def _judged(self, ring: Ring, webhook: lookup.Known) -> Arrival | Exception:
        try:
            return self._judge(ring, webhook)
        except Exception as error:  # noqa: BLE001 - one ring's, and the others' are to be judged
            return error

    def _judge(self, ring: Ring, webhook: lookup.Known) -> Arrival:
        # Two decryptions and two HMACs, whatever there is: their number must not tell either.
        secrets = [self._context.secrets.open(sealed) for sealed in webhook.secrets]
        held = signatures.matches(ring.body, signatures.presented(ring.headers), secrets)
        if not held or not webhook.is_active:
            # Only who fails is limited: behind one address there may be others, whose signatures hold.
            wait = self._failures.wait(client_of(ring.client))
            if wait:
                raise RateLimited("too many bad signatures from this address", retry_after=wait)
            raise Unauthenticated(
                "the signature is missing or does not match",
                hint="check the webhook's URL and secret; provision_disk_image_webhook gives a new one",
            )
        wait = self._rates.wait(webhook.id)
        if wait:
            raise RateLimited("this webhook sends faster than its rate", retry_after=wait)
        return Arrival(webhook.id, webhook.account_id, webhook.label, ring.body, read_announcement(ring.body))

    def _stored(self, arrivals: Sequence[Arrival]) -> Sequence[Receipt | Exception]:
        try:
            return store_all(self._context, arrivals) if arrivals else []
        except Exception as error:  # noqa: BLE001 - each ring's own, returned with it
            if len(arrivals) == 1 or isinstance(error, CatalogUnavailable):
                return [error] * len(arrivals)
            # One that cannot be stored must not take the others with it.
            return [self._stored([arrival])[0] for arrival in arrivals]


def count_waiting(context: Context) -> int:
    """Return how many deliveries are not finished."""
    with context.catalog.reading() as session:
        query = select(func.count()).where(Delivery.status.in_([DeliveryStatus.RECEIVED, DeliveryStatus.PROCESSING]))
        return session.scalar(query) or 0
