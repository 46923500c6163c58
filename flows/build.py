"""From a dispatched build to its publication."""

from __future__ import annotations

from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Completed, Failed

from bootpress.core.builds.states import BuildStatus
from bootpress.core.errors import Superseded
from flows.ingest import run_attempt
from tasks.builds import get_next_step, report_build, start_attempt, suspend_until_callback


@flow(name="build-disk-image", persist_result=True)
def build(build_id: UUID) -> State[None]:
    """Wait for the callback of a dispatched build, publish what it announces, and report how it ended.

    While it waits it is suspended, and nothing runs. Each time it is resumed it begins anew and looks at the catalog.

    Args:
        build_id: The build, as `system_list_disk_image_builds` shows it.
    """
    outlook = get_next_step(build_id)
    if outlook.delivery_id is not None and outlook.attempt_id is not None:
        _ingest(outlook.delivery_id, outlook.attempt_id)
        outlook = get_next_step(build_id)
    if not outlook.is_finished:
        suspend_until_callback(outlook)
    ending = report_build(build_id)
    match ending.status:
        case BuildStatus.PUBLISHED | BuildStatus.LOST_CALLBACK_RECOVERED:
            return Completed(message=ending.status.replace("_", " "))
        case BuildStatus.CANCELLED:
            return Cancelled(message=ending.reason)
        case _:
            return Failed(message=f"{ending.status.replace('_', ' ')}: {ending.reason}")


def _ingest(delivery_id: UUID, attempt_id: UUID) -> None:
    """Ingest what the callback announces; what that meets is settled, and the build is what it makes of it."""
    try:
        run_attempt(start_attempt(delivery_id, attempt_id))
    except Superseded as reason:
        get_run_logger().info("Somebody else ingests the callback: %s", reason)
    except Exception as error:  # noqa: BLE001 - settled already; put off, it is tried again by a run of its own
        get_run_logger().warning("The callback was not published by this run: %s", error)
