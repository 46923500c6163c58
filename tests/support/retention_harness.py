"""A world of retired images in a layout, and a registry that answers deletes as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import DeleteResult, Descriptor, Manifest, RegistryFactory
from bootpress.core.publications.models import Publication
from bootpress.core.references import Repository
from bootpress.core.retention.models import DeletionStep
from tests.support.attachments import CONFIG, manifest_of
from tests.support.core_harness import CoreHarness, SingleRegistryFactory
from tests.support.layouts import LayoutRegistry


class AnsweringRegistry(LayoutRegistry):
    """A layout that answers the delete of a digest as it is told: deletes it, refuses, or falls silent."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, DeleteResult | None] = {}
        """By digest, or by `*` for all others; None is silence. DELETED deletes nothing: it is served on."""
        self.asked: list[str] = []
        self.before: dict[str, Callable[[], object]] = {}
        """What happens elsewhere, once, before it answers a `list`, a `delete`, or what a digest or a
        tag names, and after a delete took effect, `deleted`, before whoever asked for it is told."""

    def fetch_manifest(self, repository: Repository, digest: str) -> Manifest:
        found = super().fetch_manifest(repository, digest)
        self._happen(digest)  # on its way to whoever asked
        return found

    def has_manifest(self, repository: Repository, digest: str) -> bool:
        self._happen(digest)
        return super().has_manifest(repository, digest)

    def find_tag(self, repository: Repository, tag: str) -> str | None:
        self._happen(tag)
        return super().find_tag(repository, tag)

    def list_referrers(self, repository: Repository, digest: str) -> Sequence[Descriptor]:
        self._happen("list")
        return super().list_referrers(repository, digest)

    def _happen(self, when: str) -> None:
        self.before.pop(when, lambda: None)()

    def delete_manifest(self, repository: Repository, digest: str) -> DeleteResult:
        self._happen("delete")
        self.asked.append(digest)
        if digest in self.answers or "*" in self.answers:
            answer = self.answers.get(digest, self.answers.get("*"))
            if answer is None:
                raise RegistryUnavailable("it fell silent")
        else:
            answer = super().delete_manifest(repository, digest)
        self._happen("deleted")
        return answer


class RetentionHarness(CoreHarness):
    """A world whose platform `edge` keeps one image."""

    def __init__(self, url: str, *, registries: RegistryFactory | None = None) -> None:
        self.registry = AnsweringRegistry()
        super().__init__(url, registries=registries or SingleRegistryFactory(self.registry))
        self.layout = self.images.registry = self.registry
        self.edge = self.platform(retention_count=1)

    def publish(self, *, slug: str = "edge", digest: str | None = None) -> UUID:
        """Bring a new image, or this one, all the way, a minute after the last; return the publication."""
        self.clock.advance(minutes=1)
        return super().publish(slug=slug, digest=digest)

    def retire(self, digest: str, *, slug: str = "edge") -> UUID:
        """Publish an image and a newer one, which becomes the default; retire the first and return it."""
        first = self.publish(slug=slug, digest=digest)
        self.make_default(self.publish(slug=slug))
        assert self.sweep(node_platform_id=slug)["retired"] == [str(first)]
        return first

    def due(self, digest: str) -> UUID:
        """Retire an image and let its grace pass."""
        publication_id = self.retire(digest)
        self.clock.advance(days=7)
        return publication_id

    def make_default(self, publication_id: UUID) -> None:
        self.call("system_set_default_disk_image_publication", publication_id=str(publication_id))

    def restore(self, publication_id: UUID) -> None:
        self.call("system_restore_disk_image_publication", publication_id=str(publication_id))

    def sweep(self, **fields: str) -> dict[str, Any]:
        return self.call("system_sweep_disk_image_retention", **fields)

    def attach(self, tag: str, media_type: str, content: bytes) -> str:
        """Store a manifest of one layer under a tag; return its digest."""
        config, layer = self.images.blob(b"{}", CONFIG), self.images.blob(content, media_type)
        return self.registry.add_json(manifest_of(config, [layer]), tag=tag)

    def set_fields(self, publication_id: UUID, **values: Any) -> None:
        """Write columns of a publication, whatever the rules say."""
        with self.catalog.transaction() as session:
            row = session.get_one(Publication, publication_id)
            for name, value in values.items():
                setattr(row, name, value)

    def steps(self) -> dict[str, str]:
        """Return what became of each planned deletion, by digest."""
        with self.catalog.read_session() as session:
            steps = session.scalars(select(DeletionStep).order_by(DeletionStep.position)).all()
        return {step.digest: step.status for step in steps}

    def has(self, *digests: str) -> list[bool]:
        return [digest in self.registry.blobs for digest in digests]
