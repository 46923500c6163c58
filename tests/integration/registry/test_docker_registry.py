"""The adapter on a real docker-registry: pushing, downloading, referrers, deleting, being shared."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bootpress.adapters.oci import Config, Layer, OciRegistries, OciRegistry, Pusher
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import DeleteResult, Descriptor, RegistryConnection
from bootpress.core.references import Repository, digest_hex
from tests.support.registries import everywhere
from tests.support.registry import running_registry

MIB = 1024 * 1024


@everywhere("place")
def test_a_pushed_image_is_fetched_as_it_was_pushed(
    registry: OciRegistry, pusher: Pusher, repository: Repository, folder: Path
) -> None:
    kernel, initramfs = folder / "vmlinuz", folder / "initramfs.cpio.zst"
    kernel.write_bytes(b"k" * 3 * MIB)
    initramfs.write_bytes(b"i" * 5)
    told: list[int] = []
    digest = pusher.push_image(
        repository,
        [Layer(kernel, "application/vnd.test.kernel", "vmlinuz"), Layer(initramfs, "application/vnd.test.i", "initrd")],
        tag="v1",
        config=Config(b'{"os":"linux"}', "application/vnd.test.config+json"),
        artifact_type="application/vnd.test.image",
        annotations={"org.opencontainers.image.revision": "abc"},
        progress=told.append,
    )
    assert sum(told) == 3 * MIB + 5
    assert registry.resolve_tag(repository, "v1") == digest
    manifest = registry.fetch_manifest(repository, digest)
    assert manifest.artifact_type == "application/vnd.test.image"
    assert manifest.annotations == {"org.opencontainers.image.revision": "abc"}
    assert [(layer.title, layer.size) for layer in manifest.layers] == [("vmlinuz", 3 * MIB), ("initrd", 5)]
    assert manifest.config is not None
    assert registry.read_blob(repository, manifest.config, limit=100) == b'{"os":"linux"}'
    for layer in manifest.layers:
        registry.verify_blob(repository, layer)


@everywhere("place")
def test_what_the_registry_has_is_not_uploaded_again(
    pusher: Pusher, repository: Repository, folder: Path, registry: OciRegistry
) -> None:
    file = folder / "base"
    file.write_bytes(b"b" * 5 * MIB)
    first = pusher.push_blob(repository, file)
    told: list[int] = []
    assert pusher.push_blob(repository, file, progress=told.append) == first
    assert told == [5 * MIB]  # in one step, without the bytes
    registry.verify_blob(repository, first)


@everywhere("place")
def test_a_manifest_without_a_tag_lies_under_its_digest(
    registry: OciRegistry, pusher: Pusher, repository: Repository
) -> None:
    digest = pusher.push_image(repository, [])
    assert registry.fetch_manifest(repository, digest).digest == digest


def test_a_pushed_referrer_is_added_to_the_fallback_tag(
    registry: OciRegistry, pusher: Pusher, repository: Repository
) -> None:
    image, pushed, types = push_referrers(registry, pusher, repository)
    listed = registry.list_referrers(repository, image)
    assert [(each.digest, each.artifact_type) for each in listed] == list(zip(pushed, types, strict=True))
    assert [each.annotations["n"] for each in listed] == types
    assert registry.find_tag(repository, f"sha256-{digest_hex(image)}") is not None


@pytest.mark.parametrize("place", ["referrers"], indirect=True)
def test_where_the_registry_lists_referrers_there_is_no_fallback_tag(
    registry: OciRegistry, pusher: Pusher, repository: Repository
) -> None:
    image, pushed, _ = push_referrers(registry, pusher, repository)
    assert {each.digest for each in registry.list_referrers(repository, image)} == set(pushed)
    assert registry.find_tag(repository, f"sha256-{digest_hex(image)}") is None


def push_referrers(registry: OciRegistry, pusher: Pusher, repository: Repository) -> tuple[str, list[str], list[str]]:
    """Push an image and what refers to it, one of them twice; return its digest, theirs, and their types."""
    image = registry.fetch_manifest(repository, pusher.push_image(repository, []))
    subject = Descriptor(image.media_type, image.digest, image.size)
    types = ["application/spdx+json", "application/vnd.test.signature"]
    pushed = [
        pusher.push_image(repository, [], subject=subject, artifact_type=each, annotations={"n": each})
        for each in [*types, types[0]]  # the same again is the same entry
    ]
    return image.digest, pushed[:2], types


@everywhere("place")
def test_a_download_appears_whole_or_not_at_all(
    registry: OciRegistry, pusher: Pusher, repository: Repository, folder: Path
) -> None:
    content = bytes(range(256)) * 9000
    blob, told, target = pusher.push_blob(repository, content), list[int](), folder / "base.erofs"
    registry.download_blob(repository, blob, target, told.append)
    assert target.read_bytes() == content
    assert sum(told) == len(content)
    target.unlink()
    with pytest.raises(Exception, match="has 2304000 bytes"):
        registry.download_blob(repository, Descriptor("a/b", blob.digest, blob.size - 1), target)
    assert list(folder.iterdir()) == []


def test_a_download_replaces_what_was_there(
    registry: OciRegistry, pusher: Pusher, repository: Repository, folder: Path
) -> None:
    (folder / "base").write_bytes(b"old")
    registry.download_blob(repository, pusher.push_blob(repository, b"new"), folder / "base")
    assert (folder / "base").read_bytes() == b"new"


@everywhere("place")
def test_one_registry_is_shared_by_threads(registry: OciRegistry, pusher: Pusher, repository: Repository) -> None:
    blobs = [pusher.push_blob(repository, bytes([number]) * 700_000) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        futures = [pool.submit(registry.verify_blob, repository, blob) for blob in blobs * 4]
        assert [future.result() for future in futures] == [None] * 48


def test_an_evicted_registry_still_works_for_those_who_hold_it(repository: Repository, pusher: Pusher) -> None:
    registries = OciRegistries(max_open=1)
    held = registries.open(RegistryConnection("one", repository.host))
    blob = pusher.push_blob(repository, b"x" * MIB)
    held.verify_blob(repository, blob)
    evicting: list[int] = []

    def evict(count: int) -> None:  # in the middle of a blob
        if not evicting:
            registries.open(RegistryConnection("two", repository.host))
        evicting.append(count)

    held.verify_blob(repository, blob, evict)
    held.verify_blob(repository, blob)
    assert sum(evicting) == MIB
    registries.close()


def test_a_registry_that_does_not_delete_says_so(tmp_path: Path, registries: OciRegistries) -> None:
    with running_registry(tmp_path / "registry", delete=False) as host:
        connection, repository = RegistryConnection("default", host), Repository(host, "os/images")
        digest = registries.open_pusher(connection).push_image(repository, [])
        registry = registries.open(connection)
        assert registry.delete_manifest(repository, digest) is DeleteResult.UNSUPPORTED
        assert registry.fetch_manifest(repository, digest).digest == digest


def test_a_registry_that_is_gone_is_unavailable_and_comes_back(tmp_path: Path, registries: OciRegistries) -> None:
    with running_registry(tmp_path / "registry") as host:
        port = int(host.rpartition(":")[2])
        connection, repository = RegistryConnection("default", host), Repository(host, "os/images")
        digest = registries.open_pusher(connection).push_image(repository, [], tag="v1")
        registry = registries.open(connection)
    with pytest.raises(RegistryUnavailable, match="connection failed"):
        registry.find_tag(repository, "v1")
    with running_registry(tmp_path / "registry", port=port):
        assert registry.find_tag(repository, "v1") == digest


@everywhere("place")
def test_a_manifest_is_pushed_as_the_bytes_it_is(registry: OciRegistry, pusher: Pusher, repository: Repository) -> None:
    config = pusher.push_blob(repository, b"{}")
    entry = {"mediaType": config.media_type, "digest": config.digest, "size": 2}
    media_type = "application/vnd.oci.image.manifest.v1+json"
    document = {"schemaVersion": 2, "mediaType": media_type, "config": entry, "layers": []}
    raw = json.dumps(document, indent=7).encode() + b"\n"
    digest = pusher.push_manifest(repository, raw, media_type=media_type, tag="odd")
    assert registry.fetch_manifest(repository, digest).size == len(raw)
    assert registry.resolve_tag(repository, "odd") == digest
