"""The steps that run a runner and that terminate a CI worker, as tasks; what they return and log is no secret."""

from __future__ import annotations

from prefect import task

from bootpress.core.workers import provisioning, terminating
from bootpress.core.workers.procedures import Hold
from bootpress.wiring import of_process
from tasks.retries import RETRIED

abandon = provisioning.abandon


@task(name="worker", **RETRIED)
def settle_worker(hold: Hold) -> None:
    """Make the worker if there is none of the label."""
    provisioning.settle_worker(of_process(), hold)


@task(name="container", **RETRIED)
def start_container(hold: Hold) -> None:
    """Run the runner's container, and deregister the one that it replaces; one that runs as is wanted is kept."""
    provisioning.start_container(of_process(), hold)


@task(name="runner", **RETRIED)
def await_runner(hold: Hold) -> None:
    """Wait until the forge says that the runner is online."""
    provisioning.await_runner(of_process(), hold)


@task(name="conclude", **RETRIED)
def conclude(hold: Hold) -> None:
    """Take the token from the container, and answer."""
    provisioning.conclude(of_process(), hold)


@task(name="remove container", **RETRIED)
def remove_container(hold: Hold) -> None:
    """Stop and remove the container of a runner that we run."""
    terminating.remove_container(of_process(), hold)


@task(name="find runners", **RETRIED)
def find_runners(hold: Hold) -> None:
    """Ask the forge which runners belong to the worker."""
    terminating.find_runners(of_process(), hold)


@task(name="deregister", **RETRIED)
def deregister(hold: Hold) -> None:
    """Deregister the worker's runners at the forge."""
    terminating.deregister(of_process(), hold)


@task(name="revoke", **RETRIED)
def revoke(hold: Hold) -> None:
    """Revoke the worker and its read tokens, and answer."""
    terminating.revoke(of_process(), hold)
