"""Webhooks: provision, rotate, disable, enable, revoke."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.errors import Conflict, InvalidInput, NotFound
from bootpress.core.events import service as events
from bootpress.core.pagination import page
from bootpress.core.webhooks import rules
from bootpress.core.webhooks.models import Webhook
from bootpress.core.webhooks.states import WebhookStatus

PATH = "/api/v1/system/webhooks/disk_image/built/"


@dataclass(frozen=True, slots=True)
class ProvisionedWebhook:
    """A webhook with its secret, which is shown this once."""

    webhook: Webhook
    secret: str
    created: bool


def webhook_url(base: str, webhook_id: UUID) -> str:
    """Return the URL that a pipeline posts to."""
    return f"{base.rstrip('/')}{PATH}{webhook_id}"


def provision_webhook(context: Context, *, account_id: UUID, label: str, actor: str) -> ProvisionedWebhook:
    """Make the webhook of a label, or give the one that is there a new secret at once."""
    key = rules.label_key(label)
    if not key:
        raise InvalidInput("the label is empty", field="label")
    try:
        return _provision(context, account_id, label.strip(), key, actor)
    except IntegrityError:
        # Somebody else made it at the same moment: now it is there, and this call is a repeat.
        return _provision(context, account_id, label.strip(), key, actor)


def _provision(context: Context, account_id: UUID, label: str, key: str, actor: str) -> ProvisionedWebhook:
    with context.catalog.transaction() as session:
        webhook = session.scalar(
            select(Webhook)
            .where(Webhook.account_id == account_id, Webhook.label_key == key, Webhook.status != WebhookStatus.REVOKED)
            .with_for_update()
        )
        if webhook is not None:
            return ProvisionedWebhook(webhook, rotate(context, session, webhook, actor, timedelta()), created=False)
        secret = new_secret()
        webhook = Webhook(
            id=uuid4(),
            account_id=account_id,
            label=label,
            label_key=key,
            status=WebhookStatus.ACTIVE,
            secret=context.secrets.encrypt(secret),
            secret_preview=rules.secret_preview(secret),
            received_count=0,
            created_at=context.clock.now(),
        )
        session.add(webhook)
        return ProvisionedWebhook(webhook, secret, created=True)


def rotate_secret(
    context: Context, *, account_id: UUID, webhook_id: UUID, actor: str, overlap: timedelta
) -> tuple[Webhook, str]:
    """Give a webhook a new secret; the old one holds for `overlap` longer, for builds in flight."""
    with context.catalog.transaction() as session:
        webhook = find_webhook(session, account_id, webhook_id)
        if webhook.status == WebhookStatus.REVOKED:
            raise Conflict(
                f"webhook {webhook_id} is revoked: it takes no new secret",
                hint="provision_disk_image_webhook makes another for its label",
            )
        return webhook, rotate(context, session, webhook, actor, overlap)


def change_status(context: Context, *, account_id: UUID, webhook_id: UUID, actor: str, to: str) -> Webhook:
    """Disable, enable or revoke a webhook (`to` names the transition); a repeat changes nothing."""
    with context.catalog.transaction() as session:
        webhook = find_webhook(session, account_id, webhook_id)
        before = _status(webhook)
        webhook.status = rules.WEBHOOK.transition(to, before)
        if webhook.status == WebhookStatus.REVOKED and before != WebhookStatus.REVOKED:
            webhook.previous_secret = webhook.previous_secret_until = None
            events.record(
                session,
                events.Kind.WEBHOOK_REVOKED,
                account_id=account_id,
                actor=actor,
                at=context.clock.now(),
                payload={"webhook_id": str(webhook.id), "label": webhook.label},
            )
        return webhook


def list_webhooks(
    context: Context, *, account_id: UUID, limit: int, cursor: str | None
) -> tuple[list[Webhook], str | None]:
    """Return a page of an account's webhooks, oldest first, and the next cursor."""
    query = select(Webhook).where(Webhook.account_id == account_id)
    with context.catalog.read_session() as session:
        by = (Webhook.created_at, Webhook.id)
        return page(session, query, by=by, limit=limit, cursor=cursor, newest_first=False)


def find_webhook(session: Session, account_id: UUID, webhook_id: UUID) -> Webhook:
    """Return an account's webhook; NotFound for one that is unknown or another account's."""
    webhook = session.get(Webhook, webhook_id, with_for_update=True)
    if webhook is None or webhook.account_id != account_id:
        raise NotFound(f"no webhook {webhook_id}", hint="see system_list_disk_image_webhooks")
    return webhook


def rotate(context: Context, session: Session, webhook: Webhook, actor: str, overlap: timedelta) -> str:
    """Give a webhook a new secret in the running transaction; return it. What was to be confirmed is no more."""
    now = context.clock.now()
    secret = new_secret()
    webhook.previous_secret = webhook.secret if overlap else None
    webhook.previous_secret_until = now + overlap if overlap else None
    webhook.secret = context.secrets.encrypt(secret)
    webhook.secret_preview = rules.secret_preview(secret)
    webhook.last_rotated_at = now
    webhook.unconfirmed_since = None
    events.record(
        session,
        events.Kind.WEBHOOK_SECRET_ROTATED,
        account_id=webhook.account_id,
        actor=actor,
        at=now,
        payload={"webhook_id": str(webhook.id), "label": webhook.label},
    )
    return secret


def _status(webhook: Webhook) -> WebhookStatus:
    return WebhookStatus(webhook.status)


def new_secret() -> str:
    """Return a secret that nobody guesses: 43 characters, safe in a URL."""
    return secrets.token_urlsafe(32)
