"""Give a webhook's secret to somebody who has to confirm it: until then the old one holds beside the new one.

A handing over that was cut off is gone on with: the secret that nobody confirmed is handed over again, so that there
are never three.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from bootpress.core.context import Context
from bootpress.core.deliveries.models import Delivery
from bootpress.core.errors import Conflict
from bootpress.core.webhooks import rules, service
from bootpress.core.webhooks.models import Webhook
from bootpress.core.webhooks.states import WebhookStatus

UNCONFIRMED_OVERLAP: Final = timedelta(days=3650)


def begin_rotation(context: Context, session: Session, *, account_id: UUID, label: str, actor: str) -> Webhook:
    """Return the webhook of a label with a secret to hand over, in the running transaction.

    It is made where there is none; else its secret is rotated, unless the present one was never confirmed.
    """
    key = rules.label_key(label)
    webhook = session.scalar(
        select(Webhook)
        .where(Webhook.account_id == account_id, Webhook.label_key == key, Webhook.status != WebhookStatus.REVOKED)
        .with_for_update()
    )
    now = context.clock.now()
    if webhook is None:
        secret = service.new_secret()
        webhook = Webhook(
            id=uuid4(),
            account_id=account_id,
            label=label.strip(),
            label_key=key,
            status=WebhookStatus.ACTIVE,
            secret=context.secrets.encrypt(secret),
            secret_preview=rules.secret_preview(secret),
            received_count=0,
            created_at=now,
        )
        session.add(webhook)
    elif webhook.unconfirmed_since is None:
        service.rotate(context, session, webhook, actor, UNCONFIRMED_OVERLAP)
    if webhook.unconfirmed_since is None:
        webhook.unconfirmed_since = now
    session.flush()
    return webhook


def is_new(webhook: Webhook) -> bool:
    """Tell whether a webhook was made to be handed over, and nobody has confirmed any secret of it yet."""
    return webhook.unconfirmed_since is not None and webhook.last_rotated_at is None


def confirm_rotation(context: Context, webhook: Webhook, *, overlap: timedelta) -> None:
    """Say that the secret has arrived; the old one holds for `overlap` longer, for builds in flight.

    Raises Conflict when the secret was changed or revoked meanwhile.
    """
    if webhook.unconfirmed_since is None or webhook.status == WebhookStatus.REVOKED:
        raise Conflict(
            f"the secret of webhook {webhook.id} was changed or revoked while it was handed over", hint="call again"
        )
    webhook.unconfirmed_since = None
    if webhook.previous_secret is not None:
        webhook.previous_secret_until = context.clock.now() + overlap


def cancel_rotation(session: Session, webhook: Webhook) -> None:
    """Remove a webhook that `is_new`; one that somebody has rung at is revoked instead."""
    if session.scalar(select(exists().where(Delivery.webhook_id == webhook.id))):
        webhook.status = rules.WEBHOOK.transition("revoke", WebhookStatus(webhook.status))
    else:
        session.delete(webhook)
