"""Images in a real registry, and a platform that publishes, retires and purges them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.adapters.oci.limits import Limits
from bootpress.adapters.oci.manifests import OCI_INDEX, OCI_MANIFEST
from bootpress.adapters.oci.push import Layer
from bootpress.adapters.oci.registries import OciRegistries
from bootpress.adapters.oci.registry import OciRegistry
from bootpress.core.context import Caller
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import DeleteResult, Descriptor, RegistryConnection, RegistryFactory
from bootpress.core.references import Repository
from bootpress.core.retention.models import DeletionStep
from tests.support.core_harness import CoreHarness
from tests.support.registries import NAMESPACE


class SignedRepository:
    """A repository in a real registry, and images pushed to it and signed."""

    def __init__(self, connection: RegistryConnection, folder: Path, *, limits: Limits | None = None) -> None:
        self.registries = OciRegistries(limits=limits)
        self.connection = connection
        self.registry = CrashingRegistry(self.registries._transport(connection))
        self.pusher = self.registries.open_pusher(connection)
        self.key = SigningKey.create()
        self.trust: dict[str, Any] = {"mode": "keys", "public_keys": [self.key.public_pem]}
        """What the platform trusts."""
        self.repository = Repository(connection.host, f"{NAMESPACE}/{uuid4().hex}")
        self._folder = folder
        self._count = 0

    def push(self, *, sign: bool = True, tag: str | None = None) -> str:
        """Push an image that is like no other; return its digest."""
        self._count += 1
        kernel = self._folder / "vmlinuz"
        kernel.write_bytes(b"%s %d" % (self.repository.path.encode(), self._count))
        layer = Layer(kernel, "application/vnd.bootpress.kernel.v1", "vmlinuz")
        digest = self.pusher.push_image(self.repository, [layer], tag=tag)
        if sign:
            self.sign(digest)
        return digest

    def push_index(self, children: list[str]) -> str:
        """Push an index of images, the first for amd64 and the next for arm64; return its digest."""
        self._count += 1
        listed = [
            f'{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{self.size(digest)},'
            f'"platform":{{"architecture":"{arch}","os":"linux"}}}}'
            for digest, arch in zip(children, ["amd64", "arm64"], strict=True)
        ]
        raw = f'{{"schemaVersion":2,"annotations":{{"n":"{self._count}"}},"manifests":[{",".join(listed)}]}}'.encode()
        digest = self.pusher.push_manifest(self.repository, raw, media_type=OCI_INDEX)
        self.sign(digest)
        return digest

    def size(self, digest: str) -> int:
        return self.registry.fetch_manifest(self.repository, digest).size

    def sign(self, digest: str) -> str:
        """Sign a digest; return the signature's manifest's digest."""
        subject = Descriptor(OCI_MANIFEST, digest, self.size(digest))
        referrer = self.key.sign(subject, created=datetime(2025, 6, 1, tzinfo=UTC))
        for blob in referrer.blobs:
            self.pusher.push_blob(self.repository, blob)
        return self.pusher.push_manifest(self.repository, referrer.manifest, media_type=referrer.media_type)

    def attach(self, digest: str) -> str:
        """Attach a signature as cosign 2 does, whoever made it; return its manifest's digest."""
        payload = self._folder / "payload"
        image = {"docker-manifest-digest": digest}
        critical = {"identity": {"docker-reference": ""}, "image": image, "type": "cosign container image signature"}
        payload.write_text(json.dumps({"critical": critical, "optional": None}))
        layer = Layer(payload, "application/vnd.dev.cosign.simplesigning.v1+json", "payload")
        return self.pusher.push_image(self.repository, [layer], tag=f"{digest.replace(':', '-')}.sig")

    def signatures(self, digest: str) -> list[str]:
        return [one.digest for one in self.registry.list_referrers(self.repository, digest)]

    def has(self, *names: str) -> list[bool]:
        """Tell of each digest or tag whether it is there."""
        return [self.registry.find_tag(self.repository, name) is not None for name in names]


class CrashingRegistry(OciRegistry):
    """A registry that answers no more after `left` deletions."""

    left = 1000

    def delete_manifest(self, repository: Repository, digest: str) -> DeleteResult:
        if self.left == 0:
            raise RegistryUnavailable("it died")
        self.left -= 1
        self.asked = [*getattr(self, "asked", []), digest]
        return super().delete_manifest(repository, digest)


class PublishingHarness(CoreHarness):
    """A world whose platform's images lie on a shelf."""

    def __init__(self, url: str, shelf: SignedRepository, *, registries: RegistryFactory | None = None) -> None:
        super().__init__(url, registries=registries or shelf.registries)
        self.shelf = shelf
        self.platform_id = self.make_platform("edge")

    def make_platform(self, slug: str, *, caller: Caller | None = None) -> UUID:
        connection = self.shelf.connection
        login = {"username": connection.username, "token": connection.token} if connection.token else {}
        self.call("system_connect_registry", caller, name=connection.name, host=connection.host, **login)
        fields = {"oci_repository": str(self.shelf.repository), "trust": self.shelf.trust, "retention_count": 1}
        return self.platform(slug, caller=caller, **fields)

    def press(self, digest: str | None = None, *, slug: str = "edge") -> UUID:
        """Publish an image of the shelf; a minute passes."""
        self.clock.advance(minutes=1)
        delivery_id = self.announce(slug=slug, ref=self.shelf.repository.at(digest or self.shelf.push()))
        assert self.process(delivery_id) == "published", self.delivery(delivery_id).error_message
        publication_id = self.delivery(delivery_id).publication_id
        assert publication_id is not None
        return publication_id

    def sweep(self, **fields: str) -> dict[str, Any]:
        return self.call("system_sweep_disk_image_retention", **fields)

    def make_default(self, publication_id: UUID) -> None:
        self.call("system_set_default_disk_image_publication", publication_id=str(publication_id))

    def retired(self) -> tuple[UUID, str]:
        """Publish two images, the second the default, and retire the first; return it and its digest."""
        digest = self.shelf.push()
        first = self.press(digest)
        self.make_default(self.press())
        assert self.sweep()["retired"] == [str(first)]
        return first, digest

    def steps(self) -> list[DeletionStep]:
        with self.catalog.read_session() as session:
            return list(session.scalars(select(DeletionStep).order_by(DeletionStep.position)))
