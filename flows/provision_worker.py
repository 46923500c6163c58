"""Run a runner for a build repository."""

from __future__ import annotations

from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from bootpress.core.errors import Superseded
from tasks import workers as steps
from tasks.sagas import saga_scope


@flow(name="provision-ci-worker")
def provision_worker(saga_id: UUID) -> State[None]:
    """Run a runner as a container on a Docker host, and see it come online at the forge.

    `system_provision_ci_worker` starts it and waits for it. What fails for good leaves no container and no
    registration.

    Args:
        saga_id: The record of the call.
    """
    try:
        with saga_scope(saga_id, abandon=steps.abandon) as hold:
            steps.settle_worker(hold)
            steps.start_container(hold)
            steps.await_runner(hold)
            steps.conclude(hold)
    except Superseded as reason:
        return Completed(name="Superseded", message=f"Nothing to do: {reason}")
    return Completed(message="The runner is online")
