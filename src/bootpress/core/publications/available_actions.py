"""Which operations a publication, as it stands, would accept: for doors that offer them."""

from __future__ import annotations

from typing import Any

from bootpress.core.operation import Operation
from bootpress.core.publications import operations, rules
from bootpress.core.publications.operations import PublicationView
from bootpress.core.publications.service import PINNABLE
from bootpress.core.publications.states import PublicationStatus as Status


def available_actions(publication: PublicationView) -> list[Operation[Any, Any]]:
    """Return the operations that would change this publication; each takes its id as `publication_id`."""
    status = publication.status
    table: list[tuple[bool, Operation[Any, Any]]] = [
        (
            status == Status.PUBLISHED and not publication.is_default,
            operations.system_set_default_disk_image_publication,
        ),
        (status in PINNABLE and not publication.pinned, operations.system_pin_disk_image_publication),
        (publication.pinned, operations.system_unpin_disk_image_publication),
        (status in rules.PUBLICATION.moves["restore"][0], operations.system_restore_disk_image_publication),
        (status == Status.FAILED, operations.system_retry_disk_image_publication),
    ]
    return [operation for applies, operation in table if applies]
