"""The port Registry over an OCI layout directory (image-spec 1.1, image-layout.md), for tests without a network.

Tags are in `org.opencontainers.image.ref.name`. Like a registry without the referrers API: referrers are what the
fallback tag lists. Everything can be changed in memory: `tags`, `blobs`, and what is `away`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bootpress.adapters.oci.limits import MAX_MANIFEST
from bootpress.adapters.oci.manifests import OCI_INDEX, OCI_MANIFEST, digest_of, parse_manifest, parse_referrers
from bootpress.core.errors import ContentRejected, ReferenceRejected, RegistryUnavailable
from bootpress.core.ports import DeleteResult, Descriptor, Manifest, Progress
from bootpress.core.references import Repository

MANIFEST, INDEX = OCI_MANIFEST, OCI_INDEX


class LayoutRegistry:
    """One repository in memory, read from a layout."""

    def __init__(self, path: Path | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.away: set[str] = set()
        """Digests, tags, `referrers`, `upload`, `blob` and `check` that the registry fails on."""
        self.read_only = False
        self.error: Exception | None = None
        """What it meets with every request, if anything."""
        if path is not None:
            for blob in (path / "blobs" / "sha256").iterdir():
                self.blobs[f"sha256:{blob.name}"] = blob.read_bytes()
            for descriptor in json.loads((path / "index.json").read_bytes())["manifests"]:
                tag = descriptor.get("annotations", {}).get("org.opencontainers.image.ref.name")
                if tag:
                    self.tags[tag] = descriptor["digest"]

    def add(self, content: bytes, *, tag: str | None = None) -> str:
        """Store bytes, under a tag if one is given; return their digest."""
        digest = digest_of(content)
        self.blobs[digest] = content
        if tag:
            self.tags[tag] = digest
        return digest

    def add_json(self, document: dict[str, Any], *, tag: str | None = None) -> str:
        """Store a JSON document."""
        return self.add(json.dumps(document).encode(), tag=tag)

    def write(self, path: Path) -> None:
        """Write it as a layout directory, which must not be there yet."""
        blobs = path / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for digest, content in self.blobs.items():
            (blobs / digest.removeprefix("sha256:")).write_bytes(content)
        manifests = [
            {
                "mediaType": json.loads(self.blobs[digest])["mediaType"],
                "digest": digest,
                "size": len(self.blobs[digest]),
                "annotations": {"org.opencontainers.image.ref.name": tag},
            }
            for tag, digest in sorted(self.tags.items())
        ]
        (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}))
        (path / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def check(self) -> None:
        """Say that it is there, unless it is not to answer."""
        self._answer("check")

    def resolve_tag(self, repository: Repository, tag: str) -> str:
        """Return the digest of a tag."""
        digest = self.find_tag(repository, tag)
        if digest is None:
            raise ReferenceRejected(f"{repository}:{tag} does not exist")
        return digest

    def find_tag(self, repository: Repository, tag: str) -> str | None:
        """Return the digest of a tag, or None."""
        self._answer(tag)
        return self.tags.get(tag)

    def fetch_manifest(self, repository: Repository, digest: str) -> Manifest:
        """Read a manifest or index."""
        return parse_manifest(self._read(digest, limit=MAX_MANIFEST), content_type=None)

    def read_blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Read a blob whole."""
        if descriptor.size > limit:
            raise ContentRejected(f"{descriptor.digest} declares {descriptor.size} bytes, over {limit}")
        content = self._read(descriptor.digest, limit=limit)
        if len(content) != descriptor.size:
            raise ContentRejected(f"{descriptor.digest} has {len(content)} bytes, not {descriptor.size}")
        return content

    def verify_blob(self, repository: Repository, descriptor: Descriptor, progress: Progress | None = None) -> None:
        """Check a blob."""
        self.read_blob(repository, descriptor, limit=descriptor.size)
        if progress:
            progress(descriptor.size)

    def list_referrers(self, repository: Repository, digest: str) -> Sequence[Descriptor]:
        """List what the fallback tag lists."""
        self._answer("referrers")
        index = self.find_tag(repository, digest.replace(":", "-"))
        if index is None:
            return ()
        listed = parse_referrers(self._read(index, limit=MAX_MANIFEST))
        return tuple({child.digest: child for child in listed}.values())

    def has_manifest(self, repository: Repository, digest: str) -> bool:
        """Tell whether bytes are there under this digest."""
        self._answer(digest)
        return digest in self.blobs

    def put_blob(self, repository: Repository, content: bytes) -> Descriptor | None:
        """Store bytes, unless it is `read_only`."""
        self._answer("upload")
        if self.read_only:
            return None
        return Descriptor("application/octet-stream", self.add(content), len(content))

    def has_blob(self, repository: Repository, blob: Descriptor) -> bool:
        """Tell whether a blob is there."""
        self._answer("blob")
        return blob.digest in self.blobs

    def delete_blob(self, repository: Repository, digest: str) -> DeleteResult:
        """Forget a blob."""
        return DeleteResult.ABSENT if self.blobs.pop(digest, None) is None else DeleteResult.DELETED

    def delete_manifest(self, repository: Repository, digest: str) -> DeleteResult:
        """Forget a manifest and the tags that point to it."""
        self._answer(digest)
        if self.blobs.pop(digest, None) is None:
            return DeleteResult.ABSENT
        self.tags = {tag: target for tag, target in self.tags.items() if target != digest}
        return DeleteResult.DELETED

    def _answer(self, what: str) -> None:
        if self.error is not None:
            raise self.error
        if what in self.away:
            raise RegistryUnavailable(f"the registry does not answer for {what}")

    def _read(self, digest: str, *, limit: int) -> bytes:
        self._answer(digest)
        content = self.blobs.get(digest)
        if content is None:
            raise ContentRejected(f"{digest} is not there")
        if len(content) > limit:
            raise ContentRejected(f"{digest} is larger than {limit} bytes")
        if digest_of(content) != digest:
            raise ContentRejected(f"{digest} has other bytes than its digest says")
        return content
