"""An image for the demo: three layers of random bytes, pushed and signed as a pipeline would."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bootpress.adapters.cosign.signing import SignatureReferrer, SigningKey
from bootpress.adapters.oci import Config, Layer, OciRegistries
from bootpress.core.ports import Descriptor, Progress, RegistryConnection
from bootpress.core.references import Repository

MIB = 1024 * 1024
ARTIFACT_TYPE = "application/vnd.bootpress.image.v1"
CONFIG_TYPE = "application/vnd.bootpress.image.config.v1+json"
LAYERS = (
    ("vmlinuz", "application/vnd.bootpress.kernel.v1", 8 * MIB),
    ("initramfs.cpio.zst", "application/vnd.bootpress.initramfs.v1.cpio+zstd", 24 * MIB),
    ("base.erofs", "application/vnd.bootpress.base.v1.composefs.erofs", 32 * MIB),
)
SIZE = sum(size for _, _, size in LAYERS)


@dataclass(frozen=True, slots=True)
class SampleImageBuilder:
    """Makes, pushes and signs images in one repository."""

    folder: Path
    repository: Repository
    registries: OciRegistries

    def push(
        self,
        tag: str,
        progress: Progress,
        *,
        layers: Sequence[tuple[str, str, int]] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Descriptor:
        """Make an image of new bytes and push it under a tag; return what a signature is about."""
        made = [self._layer(title, media_type, size) for title, media_type, size in layers or LAYERS]
        config = {
            "schemaVersion": 1,
            "os": "linux",
            "architecture": "amd64",
            "kernelVersion": "0-demo",
            "cmdline": "console=ttyS0",
            "baseFormat": "composefs",
            "sourceDateEpoch": 0,
        }
        digest = self.registries.open_pusher(self._connection).push_image(
            self.repository,
            made,
            tag=tag,
            config=Config(json.dumps(config).encode(), CONFIG_TYPE),
            artifact_type=ARTIFACT_TYPE,
            annotations=annotations,
            progress=progress,
        )
        manifest = self.registries.open(self._connection).fetch_manifest(self.repository, digest)
        return Descriptor(manifest.media_type, digest, manifest.size)

    def sign(self, key: SigningKey, image: Descriptor) -> SignatureReferrer:
        """Sign an image as cosign 3 does, and push the signature beside it."""
        signature = key.sign(image, created=datetime.now(UTC))
        self._push_signature(signature.blobs, signature.manifest, signature.media_type)
        return signature

    def forge(self, signature: SignatureReferrer, image: Descriptor) -> None:
        """Hang the signature of another image on this one, as somebody would who has the registry but not the key."""
        manifest = json.loads(signature.manifest)
        manifest["subject"] |= {"digest": image.digest, "size": image.size}
        self._push_signature(signature.blobs, json.dumps(manifest).encode(), signature.media_type)

    @property
    def _connection(self) -> RegistryConnection:
        return RegistryConnection(name="demo", host=self.repository.host)

    def _push_signature(self, blobs: tuple[bytes, ...], manifest: bytes, media_type: str) -> None:
        pusher = self.registries.open_pusher(self._connection)
        for blob in blobs:
            pusher.push_blob(self.repository, blob, media_type="application/octet-stream")
        pusher.push_manifest(self.repository, manifest, media_type=media_type)

    def _layer(self, title: str, media_type: str, size: int) -> Layer:
        path = self.folder / title
        with path.open("wb") as file:
            for _ in range(size // MIB):
                file.write(os.urandom(MIB))
        return Layer(path, media_type, title)
