"""Bootstrap of a pipeline: steps, each recorded before the next (docs/reference/contract.md#ci-setup).

What a step writes into the catalog it writes in the transaction that records it, so there it happens once. What it asks
of the forge may happen again when it dies between the answer and the record; each such request sets what it sets. Until
the last step the old webhook secret, read token and signing key hold beside the new ones.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bootpress.core.accounts import lineage, read_tokens
from bootpress.core.accounts.models import ApiToken
from bootpress.core.context import Context
from bootpress.core.errors import Unsupported
from bootpress.core.sagas import store
from bootpress.core.sagas.store import SagaLease, SagaTransaction
from bootpress.core.webhooks import secret_rotation
from bootpress.core.webhooks.models import Webhook
from bootpress.core.webhooks.service import webhook_url
from bootpress.core.webhooks.states import WebhookStatus
from bootpress.core.workers import repository_settings, rules
from bootpress.core.workers.bootstrap_plan import BootstrapPlan, find_platform_or_none, find_worker
from bootpress.core.workers.bootstrap_state import (
    BootstrapState,
    add_warning,
    build_timeout,
    key_of_repository,
    record_step,
    workers_sharing_repository,
)
from bootpress.core.workers.models import CiWorker

MESSAGE: Final = "Add the build of disk images"
LONGER: Final = "ask for it with a token that lives longer where the pipeline needs it longer"


def prepare_repository(context: Context, hold: SagaLease) -> None:
    """Create the repository if there is none, and let it run workflows."""
    site = BootstrapState.of(context, hold)
    if site.has("repository"):
        return
    forge, repository = site.forge(context), site.plan.repository
    enabled = site.findings.actions_enabled
    if not site.findings.exists:
        enabled = forge.create_repository(repository, user=site.findings.user).actions_enabled
    if not enabled:
        forge.enable_actions(repository)
    with store.step_transaction(context, hold) as record:
        record.record_result("repository", {"created": not site.findings.exists})


def add_files(context: Context, hold: SagaLease) -> None:
    """Commit those files of the template that are not there."""
    site = BootstrapState.of(context, hold)
    if site.has("files"):
        return
    added = site.forge(context).add_files(site.plan.repository, context.build_repository(), message=MESSAGE)
    with store.step_transaction(context, hold) as record:
        record.record_result("files", {"added": list(added)})


def ensure_webhook(context: Context, hold: SagaLease) -> None:
    """Make the worker and its webhook, or give the webhook another secret beside the old one."""
    try:
        _offer_webhook(context, hold)
    except IntegrityError:  # somebody made a webhook of this label at the same moment: now it is there
        _offer_webhook(context, hold)


def _offer_webhook(context: Context, hold: SagaLease) -> None:
    site = BootstrapState.of(context, hold)
    if site.has("webhook"):
        return
    plan, account_id = site.plan, site.row.account_id
    with store.step_transaction(context, hold) as record:
        session = record.session
        webhook = secret_rotation.begin_rotation(
            context, session, account_id=account_id, label=plan.label, actor=site.row.actor
        )
        worker = find_worker(session, account_id, plan.label, lock=True)
        if worker is None:
            worker = site.new_worker(context, session)
        elif worker.repo is not None and worker.repo.casefold() != plan.repo.casefold():
            add_warning(
                record, f"{worker.label} was {worker.repo}'s before: what is set there still is, and holds no longer"
            )
        worker.webhook_id, worker.repo, worker.forge_name = webhook.id, plan.repo, plan.forge
        for other in workers_sharing_repository(session, worker):
            add_warning(
                record, f"{plan.repo} is {other.label}'s too: its builds report to the webhook of {worker.label} now"
            )
        if webhook.status == WebhookStatus.DISABLED:
            add_warning(record, "the webhook is disabled: system_enable_disk_image_webhook lets it accept deliveries")
        record.row.ci_worker_id = worker.id
        created = secret_rotation.is_new(webhook)
        record.record_result("webhook", {"id": str(webhook.id), "action": "created" if created else "rotated"})


def make_signing_key(context: Context, hold: SagaLease) -> None:
    """Make a key for the pipeline to sign with, where it has none or is to have another."""
    site = BootstrapState.of(context, hold)
    if site.has("signing_key"):
        return
    plan = site.plan
    with context.catalog.read_session() as session:
        worker = site.worker(session)
        known = worker.public_key or key_of_repository(session, worker)
    needed, said = False, None
    # One that the forge has not confirmed yet is handed over once more.
    if plan.signing_key and worker.unconfirmed_key is None:
        there = _secrets_there(context, site, known)
        has_key = {repository_settings.PRIVATE_KEY, repository_settings.KEY_PASSWORD} <= there
        needed, said = rules.needs_key(
            is_known=known is not None, has_key=has_key, rotate=plan.rotate_signing_key, replaces=plan.replaces_key
        )
    made = context.create_signing_key() if needed else None
    with store.step_transaction(context, hold) as record:
        worker = site.worker(record.session)
        worker.public_key = made.public_pem if made else known
        if made is not None:
            worker.unconfirmed_key = repository_settings.seal_key(context, made)
        if said is not None:
            add_warning(record, said)
        record.record_result("signing_key", {"made": needed})


def mint_read_token(context: Context, hold: SagaLease) -> None:
    """Mint a read token for the runner if one is wanted; those of before hold until the forge has it."""
    site = BootstrapState.of(context, hold)
    if site.has("read_token"):
        return
    with store.step_transaction(context, hold) as record:
        worker = site.worker(record.session)
        live, wanted = read_tokens.list_active(record.session, worker.id), sorted(site.plan.read_permissions)
        if not wanted:
            record.record_result("read_token", {"id": None, "had": bool(live)})
            return
        # One that nobody confirmed is handed over once more, unless whoever had it made may read other things or ends
        # at another time.
        ancestors = lineage.descend(record.session, site.plan.parent_id)
        pending = [
            token
            for token in live
            if token.id != worker.read_token_id and (token.permissions, token.ancestors) == (wanted, ancestors)
        ]
        token = pending[-1] if pending else _mint(context, record.session, worker, site.plan)
        if token.expires_at is not None:
            add_warning(
                record, f"the read token expires at {token.expires_at:%Y-%m-%dT%H:%M:%SZ}, with yours: {LONGER}"
            )
        record.record_result("read_token", {"id": str(token.id)})


def fetch_registration_token(context: Context, hold: SagaLease) -> None:
    """Ask the forge for the token that a runner registers with."""
    site = BootstrapState.of(context, hold)
    if site.has("registration_token"):
        return
    forge = site.forge(context)
    try:
        token, said = forge.registration_token(site.plan.repository), None
    except Unsupported as error:
        token, said = None, f"there is no ci_worker_token: {error}"
    if (
        said is None
        and not forge.rotates_registration_token
        and site.row.step_results["webhook"]["action"] == "rotated"
    ):
        said = (
            "ci_worker_token is the same as before: this forge has no API that rotates it. If it is known to others,"
            " reset it on the forge (Gitea: Settings, Actions, Runners)"
        )
    with store.step_transaction(context, hold) as record:
        if token is not None:
            record.store_secret_result(ci_worker_token=token)
        if said is not None:
            add_warning(record, said)
        record.record_result("registration_token", {"given": token is not None})


def set_variables(context: Context, hold: SagaLease) -> None:
    """Set the repository's Actions variables, those that are not set yet."""
    site = BootstrapState.of(context, hold)
    forge = site.forge(context)
    names = list(site.row.step_results.get("variables", []))
    for name, value in repository_settings.variables(
        site.plan, site.findings, site.row.step_results["webhook"]["id"]
    ).items():
        if name not in names:
            forge.set_variable(site.plan.repository, name, value)
            names.append(name)
            record_step(context, hold, "variables", names)


def set_secrets(context: Context, hold: SagaLease) -> None:
    """Set the repository's Actions secrets, those that are not set yet."""
    site = BootstrapState.of(context, hold)
    forge = site.forge(context)
    names = list(site.row.step_results.get("secrets", []))
    for name, value in site.secrets(context).items():
        if name not in names:
            forge.set_secret(site.plan.repository, name, value)
            names.append(name)
            record_step(context, hold, "secrets", names)
    if site.row.step_results["read_token"].get("had") and not site.has("deleted"):
        forge.delete_secret(site.plan.repository, repository_settings.READ_TOKEN)
        record_step(context, hold, "deleted", [repository_settings.READ_TOKEN])


def finalize(context: Context, hold: SagaLease) -> None:
    """End what was handed over: the forge has it all. Forget the private key, end the old secrets, answer."""
    site = BootstrapState.of(context, hold)
    with store.step_transaction(context, hold) as record:
        session = record.session
        worker, webhook = site.worker(session, lock=True), site.webhook(session, lock=True)
        secret_rotation.confirm_rotation(context, webhook, overlap=build_timeout(session, site))
        if repository_settings.PRIVATE_KEY in record.row.step_results.get("secrets", []):
            worker.unconfirmed_key = None
        token = site.token(session)
        worker.read_token_id = token.id if token else None
        read_tokens.revoke(session, worker.id, now=context.clock.now(), but=worker.read_token_id)
        if site.row.step_results["read_token"].get("had"):
            gone = f"the read token is revoked and {repository_settings.READ_TOKEN} deleted"
            add_warning(record, f"{gone}: create_platform_read_token makes another")
        record.complete(_answer(context, site, record, worker, webhook))


STEPS: Final = (
    prepare_repository,
    add_files,
    ensure_webhook,
    make_signing_key,
    mint_read_token,
    fetch_registration_token,
    set_variables,
    set_secrets,
    finalize,
)
"""In this order."""


def _answer(
    context: Context, site: BootstrapState, record: SagaTransaction, worker: CiWorker, webhook: Webhook
) -> dict[str, Any]:
    plan, effects = site.plan, record.row.step_results
    platform = find_platform_or_none(record.session, site.row.account_id, plan.platform_slug)
    return {
        "action": effects["webhook"]["action"],
        "repo_created": effects["repository"]["created"],
        "webhook_id": str(webhook.id),
        "webhook_url": webhook_url(plan.base, webhook.id),
        "webhook_secret": context.secrets.decrypt(webhook.secret),
        "ci_worker_id": str(worker.id),
        "gitea_secrets_set": effects.get("secrets", []),
        "gitea_variables_set": effects.get("variables", []),
        "cosign_public_key": worker.public_key,
        "warnings": [
            *effects.get("warnings", []),
            *repository_settings.warnings(plan, site.findings, platform, worker.public_key),
        ],
        "flow_run_id": str(record.row.flow_run_id),
    }


def _secrets_there(context: Context, site: BootstrapState, known: str | None) -> set[str]:
    """Return the secrets that the repository has, if it can have any and that matters."""
    matters = (known is not None and not site.plan.rotate_signing_key) or not site.plan.replaces_key
    if site.row.step_results["repository"]["created"] or not matters:
        return set()
    return set(site.forge(context).list_secrets(site.plan.repository))


def _mint(context: Context, session: Session, worker: CiWorker, plan: BootstrapPlan) -> ApiToken:
    return read_tokens.issue(
        context,
        session,
        account_id=worker.account_id,
        ci_worker_id=worker.id,
        name=f"read token of {worker.label}",
        permissions=plan.read_permissions,
        parent_id=plan.parent_id,
    )
