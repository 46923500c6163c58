"""Set a pipeline up."""

from __future__ import annotations

from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from bootpress.core.errors import Superseded
from tasks import bootstrap as steps
from tasks.sagas import saga_scope


@flow(name="bootstrap-disk-image-ci")
def bootstrap(saga_id: UUID) -> State[None]:
    """Set a build repository up, with its webhook, secrets, signing key and runner's token, or rotate them.

    `bootstrap_disk_image_ci` starts it and waits for it; each step records what it did, so that a run which goes on
    for one that died does nothing twice.

    Args:
        saga_id: The record of the call.
    """
    try:
        with saga_scope(saga_id, abandon=steps.abandon) as hold:
            steps.prepare_repository(hold)
            steps.add_files(hold)
            steps.offer_webhook(hold)
            steps.make_signing_key(hold)
            steps.mint_read_token(hold)
            steps.ask_registration_token(hold)
            steps.set_variables(hold)
            steps.set_secrets(hold)
            steps.confirm(hold)
    except Superseded as reason:
        return Completed(name="Superseded", message=f"Nothing to do: {reason}")
    return Completed(message="All is set up")
