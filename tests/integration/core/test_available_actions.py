"""What a door offers for a publication is what the operations accept, in every state."""

from __future__ import annotations

from itertools import product
from uuid import UUID

from sqlalchemy import update

from bootpress.core.errors import Conflict
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.publications.available_actions import available_actions
from bootpress.core.publications.models import Publication
from bootpress.core.publications.operations import PublicationView, system_get_disk_image_publication
from bootpress.core.publications.states import PublicationStatus
from tests.support.core_harness import CoreHarness

OFFERED = {
    "system_set_default_disk_image_publication",
    "system_pin_disk_image_publication",
    "system_unpin_disk_image_publication",
    "system_restore_disk_image_publication",
    "system_retry_disk_image_publication",
}


def put(world: CoreHarness, publication_id: UUID, *, default: UUID, **values: object) -> None:
    """Bring a publication into a state, whatever it was in."""
    with world.catalog.transaction() as session:
        session.execute(update(Publication).where(Publication.id == publication_id).values(**values))
        session.execute(update(NodePlatform).values(default_publication_id=default))


def look(world: CoreHarness, publication_id: UUID) -> PublicationView:
    return system_get_disk_image_publication.call(world.context, world.caller, {"id": publication_id}).publication


def changes(world: CoreHarness, name: str, publication_id: UUID) -> bool:
    """Call an operation; tell whether it was accepted and changed anything."""
    before = look(world, publication_id)
    try:
        answer = world.call(name, publication_id=str(publication_id))
    except Conflict:
        return False
    return look(world, publication_id) != before or "delivery_id" in answer


def test_what_is_offered_is_what_would_change_something(world: CoreHarness) -> None:
    world.platform()
    publication_id, other = world.publish(), world.publish()
    seen = set()
    for status, default, pinned, name in product(PublicationStatus, (publication_id, other), (True, False), OFFERED):
        retired_at = world.clock.now() if status == PublicationStatus.RETIRED else None
        put(world, publication_id, default=default, status=status, pinned=pinned, retired_at=retired_at)
        offered = {operation.name for operation in available_actions(look(world, publication_id))}
        assert changes(world, name, publication_id) == (name in offered), (name, status, default, pinned)
        seen |= offered
    assert seen == OFFERED
