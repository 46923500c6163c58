"""The steps that run a runner and that terminate a CI worker, as tasks; what they return and log is no secret."""

from __future__ import annotations

from prefect import task

from bootpress.core.sagas.store import SagaLease
from bootpress.core.workers import provision_runner, terminate_worker
from bootpress.wiring import get_context
from tasks.retries import RETRYABLE_TASK

abandon = provision_runner.roll_back


@task(name="worker", **RETRYABLE_TASK)
def settle_worker(hold: SagaLease) -> None:
    """Make the worker if there is none of the label."""
    provision_runner.ensure_worker(get_context(), hold)


@task(name="container", **RETRYABLE_TASK)
def start_container(hold: SagaLease) -> None:
    """Run the runner's container, and deregister the one that it replaces; one that runs as is wanted is kept."""
    provision_runner.start_container(get_context(), hold)


@task(name="runner", **RETRYABLE_TASK)
def await_runner(hold: SagaLease) -> None:
    """Wait until the forge says that the runner is online."""
    provision_runner.await_runner(get_context(), hold)


@task(name="conclude", **RETRYABLE_TASK)
def conclude(hold: SagaLease) -> None:
    """Take the token from the container, and answer."""
    provision_runner.finalize(get_context(), hold)


@task(name="remove container", **RETRYABLE_TASK)
def remove_container(hold: SagaLease) -> None:
    """Stop and remove the container of a runner that we run."""
    terminate_worker.remove_container(get_context(), hold)


@task(name="find runners", **RETRYABLE_TASK)
def find_runners(hold: SagaLease) -> None:
    """Ask the forge which runners belong to the worker."""
    terminate_worker.find_runners(get_context(), hold)


@task(name="deregister", **RETRYABLE_TASK)
def deregister(hold: SagaLease) -> None:
    """Deregister the worker's runners at the forge."""
    terminate_worker.deregister(get_context(), hold)


@task(name="revoke", **RETRYABLE_TASK)
def revoke(hold: SagaLease) -> None:
    """Revoke the worker and its read tokens, and answer."""
    terminate_worker.revoke(get_context(), hold)
