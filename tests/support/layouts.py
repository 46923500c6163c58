"""The port Registry over an OCI layout directory (image-spec 1.1, image-layout.md), for tests without a network.

Tags are in `org.opencontainers.image.ref.name`. Like a registry without the referrers API: referrers are what the
fallback tag lists. Everything can be changed in memory: `tags`, `blobs`, and what is `away`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bootpress.core.errors import ContentRejected, ReferenceRejected, RegistryUnavailable
from bootpress.core.ports import Deletion, Descriptor, Manifest, Progress
from bootpress.core.references import Repository

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
_MAX_MANIFEST = 4 << 20


class LayoutRegistry:
    """One repository in memory, read from a layout."""

    def __init__(self, path: Path | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        self.away: set[str] = set()
        """Digests, tags and `referrers` that the registry fails on."""
        if path is not None:
            for blob in (path / "blobs" / "sha256").iterdir():
                self.blobs[f"sha256:{blob.name}"] = blob.read_bytes()
            for descriptor in json.loads((path / "index.json").read_bytes())["manifests"]:
                tag = descriptor.get("annotations", {}).get("org.opencontainers.image.ref.name")
                if tag:
                    self.tags[tag] = descriptor["digest"]

    def add(self, content: bytes, *, tag: str | None = None) -> str:
        """Store bytes, under a tag if one is given; return their digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        if tag:
            self.tags[tag] = digest
        return digest

    def add_json(self, document: dict[str, Any], *, tag: str | None = None) -> str:
        """Store a JSON document."""
        return self.add(json.dumps(document).encode(), tag=tag)

    def check(self) -> None:
        """Do nothing: a directory is always there."""

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
        return parse_manifest(self._read(digest, limit=_MAX_MANIFEST), digest)

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
        unique = {child.digest: child for child in self.fetch_manifest(repository, index).manifests}
        return tuple(unique.values())[:1000]

    def delete_manifest(self, repository: Repository, digest: str) -> Deletion:
        """Forget a manifest and the tags that point to it."""
        self._answer(digest)
        if self.blobs.pop(digest, None) is None:
            return Deletion.ABSENT
        self.tags = {tag: target for tag, target in self.tags.items() if target != digest}
        return Deletion.DELETED

    def _answer(self, what: str) -> None:
        if what in self.away:
            raise RegistryUnavailable(f"the registry does not answer for {what}")

    def _read(self, digest: str, *, limit: int) -> bytes:
        self._answer(digest)
        content = self.blobs.get(digest)
        if content is None:
            raise ContentRejected(f"{digest} is not there")
        if len(content) > limit:
            raise ContentRejected(f"{digest} is larger than {limit} bytes")
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != digest:
            raise ContentRejected(f"{digest} has other bytes than its digest says")
        return content


def parse_manifest(raw: bytes, digest: str) -> Manifest:
    """Read a manifest or index from its bytes; ContentRejected if it is neither."""
    try:
        document = json.loads(raw)
        return Manifest(
            digest=digest,
            media_type=document.get("mediaType", ""),
            size=len(raw),
            artifact_type=document.get("artifactType"),
            config=parse_descriptor(document["config"]) if "config" in document else None,
            layers=tuple(parse_descriptor(layer) for layer in document.get("layers", ())),
            manifests=tuple(parse_descriptor(child) for child in document.get("manifests", ())),
            subject=parse_descriptor(document["subject"]) if "subject" in document else None,
            annotations=document.get("annotations", {}),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContentRejected(f"{digest} is not a manifest") from error


def parse_descriptor(document: dict[str, Any]) -> Descriptor:
    """Read a descriptor; KeyError or TypeError if it is none."""
    return Descriptor(
        media_type=document["mediaType"],
        digest=document["digest"],
        size=document["size"],
        artifact_type=document.get("artifactType"),
        architecture=document.get("platform", {}).get("architecture"),
        annotations=document.get("annotations", {}),
    )
