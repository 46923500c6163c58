"""Public operations on webhooks."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from bootpress.core.context import Caller, Context
from bootpress.core.operation import (
    Label,
    Moment,
    OperationRequest,
    OperationResponse,
    PageAnswer,
    PageRequest,
    Text,
    Whole,
    operation,
)
from bootpress.core.url_validation import parse_base_url
from bootpress.core.webhooks import service
from bootpress.core.webhooks.models import Webhook
from bootpress.core.webhooks.states import WebhookStatus

READ = "system.disk_image_webhooks.read"
MANAGE = "system.disk_image_webhooks.manage"
MAX_OVERLAP_MINUTES = 7 * 24 * 60


class ProvisionWebhook(OperationRequest):
    """The pipeline's label; `platform_api_base` overrides the base of the URL in the answer."""

    label: Label
    platform_api_base: Text | None = None


class ProvisionedWebhook(OperationResponse):
    """The webhook's URL, and its secret, shown this once."""

    webhook_id: UUID
    webhook_url: str
    webhook_secret: str | None
    action: Literal["created", "rotated"]


class ListWebhooks(PageRequest):
    """Which webhooks to list: all of the account's, in pages."""


class WebhookView(OperationResponse):
    """A webhook, without its secret."""

    id: UUID
    label: str
    status: WebhookStatus
    url: str
    secret_preview: str
    received_count: int
    last_received_at: Moment | None
    last_rotated_at: Moment | None

    @classmethod
    def of(cls, row: Webhook, *, base: str) -> WebhookView:
        """Show a row; its URL is computed from the current base."""
        return cls(
            id=row.id,
            label=row.label,
            status=WebhookStatus(row.status),
            url=service.webhook_url(base, row.id),
            secret_preview=row.secret_preview,
            received_count=row.received_count,
            last_received_at=row.last_received_at,
            last_rotated_at=row.last_rotated_at,
        )


class WebhookList(PageAnswer):
    """Webhooks, oldest first."""

    webhooks: list[WebhookView]


class WebhookId(OperationRequest):
    """Which webhook."""

    webhook_id: UUID


class RotateSecret(WebhookId):
    """Which webhook, and for how many minutes its old secret holds beside the new one."""

    overlap_minutes: Annotated[Whole, Field(ge=0, le=MAX_OVERLAP_MINUTES)] = 0


class WebhookAnswer(OperationResponse):
    """One webhook."""

    webhook: WebhookView


@operation(permission=MANAGE, secrets=("webhook_secret",))
def provision_disk_image_webhook(context: Context, caller: Caller, request: ProvisionWebhook) -> ProvisionedWebhook:
    """Make the webhook of a label, or rotate the secret of the one that is there."""
    base = context.public_url
    if request.platform_api_base is not None:
        base = parse_base_url(request.platform_api_base, field="platform_api_base")
    made = service.provision_webhook(context, account_id=caller.account_id, label=request.label, actor=caller.name)
    return ProvisionedWebhook(
        webhook_id=made.webhook.id,
        webhook_url=service.webhook_url(base, made.webhook.id),
        webhook_secret=made.secret,
        action="created" if made.created else "rotated",
    )


@operation(permission=READ, changes=False)
def system_list_disk_image_webhooks(context: Context, caller: Caller, request: ListWebhooks) -> WebhookList:
    """List the account's webhooks, never their secrets."""
    rows, next_cursor = service.list_webhooks(
        context, account_id=caller.account_id, limit=request.limit, cursor=request.cursor
    )
    views = [WebhookView.of(row, base=context.public_url) for row in rows]
    return WebhookList(webhooks=views, next_cursor=next_cursor)


@operation(permission=MANAGE, secrets=("webhook_secret",))
def system_rotate_disk_image_webhook_secret(
    context: Context, caller: Caller, request: RotateSecret
) -> ProvisionedWebhook:
    """Give a webhook a new secret; the old one holds for overlap_minutes longer."""
    row, secret = service.rotate_secret(
        context,
        account_id=caller.account_id,
        webhook_id=request.webhook_id,
        actor=caller.name,
        overlap=timedelta(minutes=request.overlap_minutes),
    )
    return ProvisionedWebhook(
        webhook_id=row.id,
        webhook_url=service.webhook_url(context.public_url, row.id),
        webhook_secret=secret,
        action="rotated",
    )


def _move(context: Context, caller: Caller, request: WebhookId, to: str) -> WebhookAnswer:
    row = service.change_status(
        context, account_id=caller.account_id, webhook_id=request.webhook_id, actor=caller.name, to=to
    )
    return WebhookAnswer(webhook=WebhookView.of(row, base=context.public_url))


@operation(permission=MANAGE)
def system_disable_disk_image_webhook(context: Context, caller: Caller, request: WebhookId) -> WebhookAnswer:
    """Stop a webhook from accepting deliveries until it is enabled again."""
    return _move(context, caller, request, "disable")


@operation(permission=MANAGE)
def system_enable_disk_image_webhook(context: Context, caller: Caller, request: WebhookId) -> WebhookAnswer:
    """Let a disabled webhook accept deliveries again."""
    return _move(context, caller, request, "enable")


@operation(permission=MANAGE)
def system_revoke_disk_image_webhook(context: Context, caller: Caller, request: WebhookId) -> WebhookAnswer:
    """Revoke a webhook for good; its label becomes free."""
    return _move(context, caller, request, "revoke")
