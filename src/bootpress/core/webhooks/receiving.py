"""The bell: decide about one POST, and store it durably before it is answered (CONTRACT.md, Webhook)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.errors import CatalogUnavailable, RateLimited, Unauthenticated
from bootpress.core.webhooks import signatures
from bootpress.core.webhooks.announcement import Announcement, read_announcement
from bootpress.core.webhooks.models import Delivery, Webhook
from bootpress.core.webhooks.rates import RateLimiter
from bootpress.core.webhooks.states import DeliveryStatus, WebhookStatus

FAILURES_PER_SECOND = 1.0
FAILURES_AT_ONCE = 30
TRIES = 5


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a POST: a new delivery, or one whose processing has not begun."""

    delivery_id: UUID
    duplicate: bool


class Bell:
    """Receives deliveries for every webhook of this installation."""

    def __init__(self, context: Context, *, rate: float, burst: int) -> None:
        self._context = context
        self._rates = RateLimiter(rate=rate, burst=burst)
        self._failures = RateLimiter(rate=FAILURES_PER_SECOND, burst=FAILURES_AT_ONCE)
        # An unknown webhook costs the same decryption and HMAC as a known one.
        self._decoy = context.secrets.seal("x" * 43)

    def receive(self, webhook_id: UUID | None, *, headers: Mapping[str, str], body: bytes, client: str) -> Receipt:
        """Check the signature, the rate and the fields, and store the delivery; it is on disk when this returns.

        `headers` have lower-case names; `client` is the address that failures are counted by. Raises
        Unauthenticated (one answer for unknown, disabled, revoked and badly signed), RateLimited, InvalidInput,
        CatalogUnavailable.
        """
        wait = self._failures.wait(client, take=False)
        if wait:
            raise RateLimited("too many bad signatures from this address", retry_after=wait)
        webhook = self._authenticate(webhook_id, headers, body)
        if webhook is None:
            self._failures.wait(client)
            raise Unauthenticated(
                "the signature is missing or does not match",
                hint="check the webhook's URL and secret; provision_disk_image_webhook gives a new one",
            )
        wait = self._rates.wait(webhook.id)
        if wait:
            raise RateLimited("this webhook sends faster than its rate", retry_after=wait)
        return self._store(webhook, body, read_announcement(body))

    def _authenticate(self, webhook_id: UUID | None, headers: Mapping[str, str], body: bytes) -> Webhook | None:
        now = self._context.clock.now()
        with self._context.catalog.reading() as session:
            webhook = session.get(Webhook, webhook_id or UUID(int=0))
        sealed = [self._decoy] if webhook is None else _valid_secrets(webhook, now)
        secrets = [self._context.secrets.open(secret) for secret in sealed]
        held = signatures.matches(body, signatures.presented(headers), secrets)
        return webhook if held and webhook is not None and webhook.status == WebhookStatus.ACTIVE else None

    def _store(self, webhook: Webhook, body: bytes, announcement: Announcement) -> Receipt:
        body_sha256 = hashlib.sha256(body).hexdigest()
        for _ in range(TRIES):
            now = self._context.clock.now()
            with self._context.catalog.writing() as session:
                delivery_id = self._insert(session, webhook, body, body_sha256, announcement, now)
                duplicate = delivery_id is None
                # Left `received` between our insert and our look: then ours is a new delivery, and we insert again.
                delivery_id = delivery_id or session.scalar(_waiting(webhook.id, body_sha256))
                if delivery_id is not None:
                    session.execute(
                        update(Webhook)
                        .where(Webhook.id == webhook.id)
                        .values(received_count=Webhook.received_count + 1, last_received_at=now)
                    )
                    return Receipt(delivery_id, duplicate)
        raise CatalogUnavailable("the delivery could not be stored", hint="send it again")

    def _insert(
        self, session: Session, webhook: Webhook, body: bytes, body_sha256: str, said: Announcement, now: datetime
    ) -> UUID | None:
        insert = sqlite.insert if self._context.catalog.is_sqlite else postgresql.insert
        statement = (
            insert(Delivery)
            .values(
                id=uuid4(),
                account_id=webhook.account_id,
                webhook_id=webhook.id,
                source="webhook",
                actor=f"webhook:{webhook.label}",
                body=body,
                body_sha256=body_sha256,
                platform_slug=said.platform_slug,
                oci_ref=said.oci_ref,
                git_sha=said.git_sha,
                status=DeliveryStatus.RECEIVED,
                attempt_count=0,
                received_at=now,
                next_attempt_at=now,
            )
            .on_conflict_do_nothing(
                index_elements=["webhook_id", "body_sha256"], index_where=text("status = 'received'")
            )
            .returning(Delivery.id)
        )
        return session.scalar(statement)


def count_waiting(context: Context) -> int:
    """Return how many deliveries are not finished."""
    with context.catalog.reading() as session:
        query = select(func.count()).where(Delivery.status.in_([DeliveryStatus.RECEIVED, DeliveryStatus.PROCESSING]))
        return session.scalar(query) or 0


def _valid_secrets(webhook: Webhook, now: datetime) -> list[bytes]:
    secrets = [webhook.secret]
    if webhook.previous_secret is not None and webhook.previous_secret_until is not None:
        secrets += [webhook.previous_secret] * (webhook.previous_secret_until > now)
    return secrets


def _waiting(webhook_id: UUID, body_sha256: str) -> Select[tuple[UUID]]:
    return select(Delivery.id).where(
        Delivery.webhook_id == webhook_id,
        Delivery.body_sha256 == body_sha256,
        Delivery.status == DeliveryStatus.RECEIVED,
    )
