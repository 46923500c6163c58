"""Secrets and variables of a pipeline: their names, and what they hold (docs/reference/contract.md#ci-setup)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from bootpress.core.accounts import read_tokens
from bootpress.core.accounts.models import ApiToken
from bootpress.core.context import Context
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.url_validation import is_loopback
from bootpress.core.webhooks.models import Webhook
from bootpress.core.webhooks.service import webhook_url
from bootpress.core.workers.bootstrap_plan import BootstrapPlan, PreflightResult
from bootpress.core.workers.models import CiWorker
from bootpress.core.workers.signing_keys import SigningKeyPair

READ_TOKEN: Final = "POWERNODE_PLATFORM_READ_TOKEN"  # noqa: S105 - the name of a secret
PRIVATE_KEY: Final = "COSIGN_PRIVATE_KEY"
KEY_PASSWORD: Final = "COSIGN_PASSWORD"  # noqa: S105 - the name of a secret


def variables(plan: BootstrapPlan, findings: PreflightResult, webhook_id: str) -> Mapping[str, str]:
    """Return the variables, by name; none for what is not known."""
    values = {
        "POWERNODE_DISK_IMAGE_WEBHOOK_URL": webhook_url(plan.base, UUID(webhook_id)),
        "POWERNODE_OCI_REGISTRY": findings.registry_host,
        "POWERNODE_REGISTRY_PLAIN_HTTP": "true" if findings.registry_is_plain else None,
        "POWERNODE_PLATFORM_SLUG": plan.platform_slug,
    }
    return {name: value for name, value in values.items() if value}


def secrets(
    context: Context,
    plan: BootstrapPlan,
    findings: PreflightResult,
    *,
    webhook: Webhook,
    token: ApiToken | None,
    key: SigningKeyPair | None,
) -> Mapping[str, str]:
    """Return the secrets, by name, in the order in which they are set."""
    secret = context.secrets.decrypt(webhook.secret)
    values: dict[str, str | None] = {
        "POWERNODE_WEBHOOK_URL": webhook_url(plan.base, webhook.id),
        "POWERNODE_WEBHOOK_SECRET": secret,
        "POWERNODE_DISK_IMAGE_WEBHOOK_SECRET": secret,
        READ_TOKEN: read_tokens.encode_token(context, token) if token else None,
        PRIVATE_KEY: key.private_pem if key else None,
        KEY_PASSWORD: key.password if key else None,
    }
    if findings.registry_connection is not None:
        registry = context.connections.find_registry(webhook.account_id, findings.registry_connection)
        if registry is not None:
            values |= {"POWERNODE_REGISTRY_USER": registry.username, "POWERNODE_REGISTRY_TOKEN": registry.token}
    return {name: value for name, value in values.items() if value}


def seal_key(context: Context, key: SigningKeyPair) -> bytes:
    """Return a key as it lies in the catalog until the forge has it."""
    return context.secrets.encrypt(json.dumps([key.private_pem, key.password, key.public_pem]))


def open_key(context: Context, worker: CiWorker) -> SigningKeyPair | None:
    """Return the key that the forge has not confirmed yet."""
    if worker.unconfirmed_key is None:
        return None
    return SigningKeyPair(*json.loads(context.secrets.decrypt(worker.unconfirmed_key)))


def warnings(
    plan: BootstrapPlan, findings: PreflightResult, platform: NodePlatform | None, public_key: str | None
) -> list[str]:
    """Say what will not work as it is now, each with what to do."""
    return [
        *_about_addresses(plan, findings),
        *_about_platform(plan, platform, public_key),
    ]


def _about_addresses(plan: BootstrapPlan, findings: PreflightResult) -> list[str]:
    said = []
    if is_loopback(plan.base):
        said.append(
            f"the webhook's URL begins with {plan.base}, which only runners on this machine reach:"
            " set BOOTPRESS_PUBLIC_URL, or give platform_api_base"
        )
    if findings.registry_host is None:
        said.append(
            "no registry is known, so POWERNODE_OCI_REGISTRY is not set: connect one with system_connect_registry,"
            " and call again"
        )
    elif is_loopback(f"//{findings.registry_host}"):
        said.append(
            f"POWERNODE_OCI_REGISTRY is {findings.registry_host}, which only runners on this machine reach:"
            " connect another with system_connect_registry, and call again"
        )
    return said


def _about_platform(plan: BootstrapPlan, platform: NodePlatform | None, public_key: str | None) -> list[str]:
    if plan.platform_slug is None:
        return []
    if platform is None:
        return [f"there is no node platform {plan.platform_slug!r} yet: make it with system_create_node_platform"]
    if public_key is not None and public_key.strip() not in _trusted_keys(platform):
        said = f"the platform {platform.slug} does not trust the key that this pipeline signs with"
        return [f"{said}: name cosign_public_key in its trust (system_update_node_platform)"]
    return []


def _trusted_keys(platform: NodePlatform) -> set[str]:
    return {str(pem).strip() for pem in platform.trust.get("public_keys", [])}
