"""What everything that calls itself a Registry has in common: the real adapter and the fakes pass the same tests.

A module that tests an implementation derives a class from `RegistryConformance` and has a fixture `shelf`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Protocol

import pytest

from bootpress.core.errors import ContentRejected, ReferenceRejected
from bootpress.core.ports import DeleteResult, Descriptor, Registry
from bootpress.core.references import Repository, digest_hex

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ABSENT = "sha256:" + "0" * 64


class RegistryUnderTest(Protocol):
    """A registry, and a way to put content into one repository of it without going through it."""

    registry: Registry
    repository: Repository
    has_referrers_api: bool
    """Whether it lists referrers itself, in no order."""
    drops_tags: bool
    """Whether a tag is gone when its manifest is deleted by digest, as most have it (the specification is silent)."""

    def put_blob(self, content: bytes) -> Descriptor:
        """Store a blob."""

    def put_manifest(self, document: dict[str, Any], *, tag: str | None = None) -> Descriptor:
        """Store a manifest or index, as JSON."""


def image(shelf: RegistryUnderTest, *, tag: str | None = None, content: bytes = b"kernel", **more: Any) -> Descriptor:
    """Store an image of one layer."""
    config, layer = shelf.put_blob(b"{}"), shelf.put_blob(content)
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": as_json(config),
        "layers": [{**as_json(layer), "annotations": {"org.opencontainers.image.title": "vmlinuz"}}],
        **more,
    }
    return shelf.put_manifest(document, tag=tag)


def as_json(descriptor: Descriptor, **more: Any) -> dict[str, Any]:
    """Write a descriptor as OCI does."""
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size, **more}


class RegistryConformance:
    """The tests; `shelf` is empty at the start of each."""

    def test_it_is_there(self, shelf: RegistryUnderTest) -> None:
        shelf.registry.check()

    def test_a_tag_resolves_to_the_digest_of_what_it_serves(self, shelf: RegistryUnderTest) -> None:
        first = image(shelf, tag="v1")
        assert shelf.registry.resolve_tag(shelf.repository, "v1") == first.digest
        second = image(shelf, tag="v1", content=b"other")
        assert shelf.registry.find_tag(shelf.repository, "v1") == second.digest != first.digest

    def test_a_tag_that_does_not_exist_is_none_or_a_rejected_reference(self, shelf: RegistryUnderTest) -> None:
        image(shelf, tag="v1")
        assert shelf.registry.find_tag(shelf.repository, "v2") is None
        with pytest.raises(ReferenceRejected, match="v2"):
            shelf.registry.resolve_tag(shelf.repository, "v2")

    def test_a_manifest_comes_with_everything_it_says(self, shelf: RegistryUnderTest) -> None:
        stored = image(shelf, artifactType="application/vnd.test", annotations={"a": "b"})
        manifest = shelf.registry.fetch_manifest(shelf.repository, stored.digest)
        assert (manifest.digest, manifest.size, manifest.media_type) == (stored.digest, stored.size, MANIFEST)
        assert manifest.artifact_type == "application/vnd.test"
        assert manifest.annotations == {"a": "b"}
        assert manifest.config is not None
        assert manifest.config.size == 2
        assert [layer.title for layer in manifest.layers] == ["vmlinuz"]
        assert not manifest.is_index
        assert manifest.subject is None

    def test_an_index_names_its_children(self, shelf: RegistryUnderTest) -> None:
        child = image(shelf)
        document = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [as_json(child, platform={"os": "linux", "architecture": "arm64"})],
        }
        index = shelf.registry.fetch_manifest(shelf.repository, shelf.put_manifest(document).digest)
        assert index.is_index
        assert [(each.digest, each.architecture) for each in index.manifests] == [(child.digest, "arm64")]

    def test_a_manifest_that_is_not_there_is_rejected_content(self, shelf: RegistryUnderTest) -> None:
        with pytest.raises(ContentRejected):
            shelf.registry.fetch_manifest(shelf.repository, ABSENT)

    def test_a_blob_is_read_whole(self, shelf: RegistryUnderTest) -> None:
        blob = shelf.put_blob(b"content")
        assert shelf.registry.read_blob(shelf.repository, blob, limit=7) == b"content"

    def test_an_empty_blob_is_read(self, shelf: RegistryUnderTest) -> None:
        assert shelf.registry.read_blob(shelf.repository, shelf.put_blob(b""), limit=0) == b""

    def test_a_blob_over_the_limit_is_not_read(self, shelf: RegistryUnderTest) -> None:
        with pytest.raises(ContentRejected):
            shelf.registry.read_blob(shelf.repository, shelf.put_blob(b"content"), limit=6)

    def test_a_blob_is_verified_with_progress(self, shelf: RegistryUnderTest) -> None:
        seen: list[int] = []
        shelf.registry.verify_blob(shelf.repository, shelf.put_blob(b"x" * 300_000), seen.append)
        assert sum(seen) == 300_000

    @pytest.mark.parametrize("size", [6, 8])
    def test_a_blob_of_another_size_is_rejected(self, shelf: RegistryUnderTest, size: int) -> None:
        blob = shelf.put_blob(b"content")
        with pytest.raises(ContentRejected):
            shelf.registry.verify_blob(shelf.repository, Descriptor(blob.media_type, blob.digest, size))

    def test_a_blob_that_is_not_there_is_rejected(self, shelf: RegistryUnderTest) -> None:
        with pytest.raises(ContentRejected):
            shelf.registry.verify_blob(shelf.repository, Descriptor("application/octet-stream", ABSENT, 7))

    def test_what_nobody_refers_to_has_no_referrers(self, shelf: RegistryUnderTest) -> None:
        assert list(shelf.registry.list_referrers(shelf.repository, image(shelf).digest)) == []

    def test_referrers_are_listed_once_each_in_order(self, shelf: RegistryUnderTest) -> None:
        subject = image(shelf)
        referrers = [
            image(shelf, content=name, subject=as_json(subject), artifactType="application/spdx+json")
            for name in (b"one", b"two")
        ]
        entries = [as_json(referrer, artifactType="application/spdx+json") for referrer in referrers]
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*entries, entries[0]]}
        shelf.put_manifest(document, tag=f"sha256-{digest_hex(subject.digest)}")
        listed = shelf.registry.list_referrers(shelf.repository, subject.digest)
        ordered = sorted if shelf.has_referrers_api else list
        assert ordered(each.digest for each in listed) == ordered(each.digest for each in referrers)
        # go-containerregistry's states the config's type, which is wrong and which nothing of ours may rely on.
        stated = "application/octet-stream" if shelf.has_referrers_api else "application/spdx+json"
        assert {each.artifact_type for each in listed} == {stated}

    def test_a_manifest_is_there_or_not(self, shelf: RegistryUnderTest) -> None:
        assert shelf.registry.has_manifest(shelf.repository, image(shelf).digest)
        assert not shelf.registry.has_manifest(shelf.repository, ABSENT)

    def test_a_blob_that_no_manifest_names_is_stored_served_and_deleted(self, shelf: RegistryUnderTest) -> None:
        image(shelf)
        blob = shelf.registry.put_blob(shelf.repository, b"named by nobody")
        assert blob is not None
        assert (blob.size, digest_hex(blob.digest)) == (15, hashlib.sha256(b"named by nobody").hexdigest())
        assert shelf.registry.has_blob(shelf.repository, blob)
        assert shelf.registry.delete_blob(shelf.repository, blob.digest) is DeleteResult.DELETED
        assert not shelf.registry.has_blob(shelf.repository, blob)

    def test_a_deleted_manifest_is_gone_and_so_is_its_tag_where_tags_go_with_it(self, shelf: RegistryUnderTest) -> None:
        kept, deleted = image(shelf, tag="kept"), image(shelf, tag="v1", content=b"other")
        assert shelf.registry.delete_manifest(shelf.repository, deleted.digest) is DeleteResult.DELETED
        assert shelf.registry.delete_manifest(shelf.repository, deleted.digest) is DeleteResult.ABSENT
        assert shelf.registry.find_tag(shelf.repository, "v1") == (None if shelf.drops_tags else deleted.digest)
        assert shelf.registry.find_tag(shelf.repository, "kept") == kept.digest
        with pytest.raises(ContentRejected):
            shelf.registry.fetch_manifest(shelf.repository, deleted.digest)


def raw_json(document: dict[str, Any]) -> bytes:
    """Write the bytes of a document."""
    return json.dumps(document).encode()
