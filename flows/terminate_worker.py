"""Terminate a CI worker."""

from __future__ import annotations

from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from bootpress.core.errors import Superseded
from tasks import workers as steps
from tasks.sagas import saga_scope


@flow(name="terminate-ci-worker")
def terminate_worker(saga_id: UUID) -> State[None]:
    """Remove a CI worker's container, deregister its runners at the forge, and revoke it.

    `system_terminate_ci_worker` starts it and waits for it. A worker of which anything is left stays in use, and a
    repeat goes on with it.

    Args:
        saga_id: The record of the call.
    """
    try:
        with saga_scope(saga_id) as hold:
            steps.remove_container(hold)
            steps.find_runners(hold)
            steps.deregister(hold)
            steps.revoke(hold)
    except Superseded as reason:
        return Completed(name="Superseded", message=f"Nothing to do: {reason}")
    return Completed(message="The worker is revoked")
