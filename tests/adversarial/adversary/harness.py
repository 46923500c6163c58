"""Where a case is played: platforms that have a default already, in one catalog, and the way of an image through it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from uuid import UUID

from sqlalchemy import select

from bootpress.core.events.models import Event
from bootpress.core.publications.models import Publication
from tests.support.attack_scenarios import AttackScenario
from tests.support.core_harness import REPOSITORY, CoreHarness, SingleRegistryFactory
from tests.support.layouts import LayoutRegistry


class AttackHarness:
    """A real catalog and the whole ingest; the registry and the verifier are those of the scene that is played."""

    def __init__(self, url: str) -> None:
        self._registries = SingleRegistryFactory(LayoutRegistry())
        self.world = CoreHarness(url, registries=self._registries)
        self._numbers = count()

    def new_platform(self) -> Platform:
        """Make a platform, and publish an image that becomes its default."""
        slug = f"edge-{next(self._numbers)}"
        self._registries.registry = self.world.layout
        platform_id = self.world.platform(slug=slug)
        return Platform(self, slug, platform_id, self.world.publish(slug=slug))

    def set(self, scene: AttackScenario) -> None:
        """Let every registry and the verifier be the scene's, from now on."""
        self._registries.registry = scene.registry
        self.world.context = replace(self.world.context, verifier=scene.verifier)
        self.world.clock.advance(seconds=1)


class Platform:
    """A platform with a default, which trusts whom the scene says."""

    def __init__(self, stage: AttackHarness, slug: str, platform_id: UUID, default_id: UUID) -> None:
        self._stage, self._world = stage, stage.world
        self._slug, self._id, self._default_id = slug, platform_id, default_id
        self._before = len(self._recorded())

    def announce(self, scene: AttackScenario) -> UUID:
        """Announce a scene's image and process the delivery; return it."""
        self._stage.set(scene)
        self._world.call("system_update_node_platform", id=str(self._id), trust=dict(scene.trust))
        delivery_id = self._world.announce(slug=self._slug, ref=f"{REPOSITORY}@{scene.digest}")
        self._world.process(delivery_id)
        return delivery_id

    def try_again(self, delivery_id: UUID, scene: AttackScenario) -> None:
        """Process a delivery that was put off once more, on another scene."""
        self._stage.set(scene)
        self._world.process(delivery_id)

    def events(self) -> list[str]:
        """List the kinds of what happened since the default was published, without their prefix."""
        return [event.kind.removeprefix("system.disk_image_") for event in self._recorded()[self._before :]]

    def published(self) -> list[UUID]:
        """List what is published of this platform, oldest first."""
        with self._world.catalog.read_session() as session:
            found = select(Publication.id).where(
                Publication.node_platform_id == self._id, Publication.status == "published"
            )
            return list(session.scalars(found.order_by(Publication.published_at)))

    def check_nothing_moved(self) -> None:
        """Make sure that the default, and what machines are told to boot, is what it was."""
        row, default = self._world.find_platform(self._id), self._world.publication(self._default_id)
        assert self.published() == [self._default_id]
        assert row.default_publication_id == self._default_id
        assert row.disk_image_oci_ref == f"{REPOSITORY}@{default.oci_digest}"

    def check_published(self, publication_id: UUID) -> None:
        """Make sure that an image was published beside the default, which stays where it is."""
        row, publication = self._world.find_platform(self._id), self._world.publication(publication_id)
        assert (publication.status, publication.cosign_verified) == ("published", True)
        assert self.published() == [self._default_id, publication_id]
        assert row.default_publication_id == self._default_id
        assert row.disk_image_oci_ref == f"{REPOSITORY}@{publication.oci_digest}"

    def _recorded(self) -> list[Event]:
        with self._world.catalog.read_session() as session:
            found = select(Event).where(Event.node_platform_id == self._id).order_by(Event.sequence)
            return list(session.scalars(found))
