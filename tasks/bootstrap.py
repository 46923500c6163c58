"""The steps that set a pipeline up, as tasks; what they return and log is no secret."""

from __future__ import annotations

from prefect import task

from bootpress.core.sagas.store import SagaLease
from bootpress.core.workers import bootstrap, bootstrap_rollback
from bootpress.wiring import get_context
from tasks.retries import RETRYABLE_TASK

abandon = bootstrap_rollback.roll_back


@task(name="repository", **RETRYABLE_TASK)
def prepare_repository(hold: SagaLease) -> None:
    """Create the repository if there is none, and let it run workflows."""
    bootstrap.prepare_repository(get_context(), hold)


@task(name="files", **RETRYABLE_TASK)
def add_files(hold: SagaLease) -> None:
    """Commit those files of the template that are not there."""
    bootstrap.add_files(get_context(), hold)


@task(name="webhook", **RETRYABLE_TASK)
def offer_webhook(hold: SagaLease) -> None:
    """Make the worker and its webhook, or give the webhook another secret beside the old one."""
    bootstrap.ensure_webhook(get_context(), hold)


@task(name="signing key", **RETRYABLE_TASK)
def make_signing_key(hold: SagaLease) -> None:
    """Make a key for the pipeline to sign with, where it has none or is to have another."""
    bootstrap.make_signing_key(get_context(), hold)


@task(name="read token", **RETRYABLE_TASK)
def mint_read_token(hold: SagaLease) -> None:
    """Mint a read token for the runner if one is wanted."""
    bootstrap.mint_read_token(get_context(), hold)


@task(name="registration token", **RETRYABLE_TASK)
def ask_registration_token(hold: SagaLease) -> None:
    """Ask the forge for the token that a runner registers with."""
    bootstrap.fetch_registration_token(get_context(), hold)


@task(name="variables", **RETRYABLE_TASK)
def set_variables(hold: SagaLease) -> None:
    """Set the repository's Actions variables."""
    bootstrap.set_variables(get_context(), hold)


@task(name="secrets", **RETRYABLE_TASK)
def set_secrets(hold: SagaLease) -> None:
    """Set the repository's Actions secrets."""
    bootstrap.set_secrets(get_context(), hold)


@task(name="confirm", **RETRYABLE_TASK)
def confirm(hold: SagaLease) -> None:
    """End the old secrets once the forge has the new ones, and answer."""
    bootstrap.finalize(get_context(), hold)
