"""A pipeline that makes small signed images and announces them to a running stack."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.adapters.oci import Config, Layer, OciRegistries
from bootpress.core.ports import Descriptor, RegistryConnection
from bootpress.core.references import Repository
from tests.support.running_stack import Stack

WAIT_SECONDS = 90


class Pipeline:
    """Makes signed small images and announces them."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self._folder = folder
        self._key = SigningKey.create()
        self._registries = OciRegistries()
        self._connection = RegistryConnection("bench", stack.registry)
        self.repository = Repository(stack.registry, "os/bench")
        self.trust = {"mode": "keys", "public_keys": [self._key.public_pem]}
        created = stack.call(
            "system_create_node_platform",
            slug="bench",
            arch="amd64",
            oci_repository=str(self.repository),
            trust=self.trust,
            retention_count=50,
        )
        self._platform_id = created["node_platform"]["id"]
        self.webhook = stack.call("provision_disk_image_webhook", label="bench")

    def close(self) -> None:
        """Close the connections to the registry."""
        self._registries.close()

    def push(self, tag: str, annotations: Mapping[str, str] | None = None) -> str:
        """Push and sign an image of a few bytes; return its reference by digest."""
        layer = self._folder / "kernel"
        layer.write_bytes(os.urandom(4096))
        layers = [Layer(layer, "application/vnd.bootpress.kernel.v1", "vmlinuz")]
        pusher = self._registries.open_pusher(self._connection)
        digest = pusher.push_image(self.repository, layers, tag=tag, config=Config(), annotations=annotations)
        manifest = self._registries.open(self._connection).fetch_manifest(self.repository, digest)
        signature = self._key.sign(Descriptor(manifest.media_type, digest, manifest.size), created=datetime.now(UTC))
        for blob in signature.blobs:
            pusher.push_blob(self.repository, blob, media_type="application/octet-stream")
        pusher.push_manifest(self.repository, signature.manifest, media_type=signature.media_type)
        return self.repository.at(digest)

    def announce(self, reference: str) -> str:
        """Post a delivery; return its id."""
        answer = self.stack.announce(self.webhook, platform_slug="bench", oci_ref=reference)
        answer.raise_for_status()
        return str(answer.json()["delivery_id"])

    def published_at(self, reference: str) -> datetime:
        """Return when an image was published, by the catalog: to ask often would slow down what is measured."""
        listing = self.stack.call(
            "system_list_disk_image_publications", node_platform_id=self._platform_id, status="published", limit=5
        )
        found = {one["oci_digest"]: one["published_at"] for one in listing["publications"]}
        return datetime.fromisoformat(found[reference.partition("@")[2]])

    def wait(self, delivery_id: str) -> None:
        """Wait until a delivery was published; AssertionError if that is not what becomes of it."""
        finished = self.stack.wait_for({delivery_id}, seconds=WAIT_SECONDS)
        if finished[delivery_id]["status"] != "done":
            raise AssertionError(f"a delivery was not published: {finished[delivery_id]}")
