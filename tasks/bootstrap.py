"""The steps that set a pipeline up, as tasks; what they return and log is no secret."""

from __future__ import annotations

from prefect import task

from bootpress.core.workers import abandoning, bootstrap
from bootpress.core.workers.procedures import Hold
from bootpress.wiring import of_process
from tasks.retries import RETRIED

abandon = abandoning.abandon


@task(name="repository", **RETRIED)
def prepare_repository(hold: Hold) -> None:
    """Create the repository if there is none, and let it run workflows."""
    bootstrap.prepare_repository(of_process(), hold)


@task(name="files", **RETRIED)
def add_files(hold: Hold) -> None:
    """Commit those files of the template that are not there."""
    bootstrap.add_files(of_process(), hold)


@task(name="webhook", **RETRIED)
def offer_webhook(hold: Hold) -> None:
    """Make the worker and its webhook, or give the webhook another secret beside the old one."""
    bootstrap.offer_webhook(of_process(), hold)


@task(name="signing key", **RETRIED)
def make_signing_key(hold: Hold) -> None:
    """Make a key for the pipeline to sign with, where it has none or is to have another."""
    bootstrap.make_signing_key(of_process(), hold)


@task(name="read token", **RETRIED)
def mint_read_token(hold: Hold) -> None:
    """Mint a read token for the runner if one is wanted."""
    bootstrap.mint_read_token(of_process(), hold)


@task(name="registration token", **RETRIED)
def ask_registration_token(hold: Hold) -> None:
    """Ask the forge for the token that a runner registers with."""
    bootstrap.ask_registration_token(of_process(), hold)


@task(name="variables", **RETRIED)
def set_variables(hold: Hold) -> None:
    """Set the repository's Actions variables."""
    bootstrap.set_variables(of_process(), hold)


@task(name="secrets", **RETRIED)
def set_secrets(hold: Hold) -> None:
    """Set the repository's Actions secrets."""
    bootstrap.set_secrets(of_process(), hold)


@task(name="confirm", **RETRIED)
def confirm(hold: Hold) -> None:
    """End the old secrets once the forge has the new ones, and answer."""
    bootstrap.confirm(of_process(), hold)
