"""The way of one image through the core, with the real verifier: what is published, and what never is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bootpress.core.errors import ContentRejected, Superseded
from bootpress.core.publications import completion, ingest
from tests.support.attempts import prove
from tests.support.core_harness import REPOSITORY, CoreHarness, SingleRegistryFactory
from tests.support.vectors import Vector, load_vectors

VECTORS = [pytest.param(vector, id=vector.name) for vector in load_vectors().values()]


@pytest.mark.parametrize("vector", VECTORS)
def test_every_recorded_signature_gets_its_verdict(catalog_url: str, vector: Vector) -> None:
    world = CoreHarness(catalog_url, registries=SingleRegistryFactory(vector.open()))
    platform_id = world.platform(trust=vector.trust, oci_repository=str(vector.repository))
    delivery_id = world.announce(ref=f"{vector.repository}:v1", git_sha="abc123")
    outcome = world.process(delivery_id)
    platform, [publication] = world.find_platform(platform_id), world.publications()
    assert world.delivery(delivery_id).publication_id == publication.id
    assert publication.oci_digest == vector.digest
    assert publication.cosign_verified is vector.is_good
    assert platform.disk_image_publication_status == publication.status
    if vector.is_good:
        assert outcome == publication.status == "published"
        assert publication.signer is not None
        assert publication.signer["mode"] == vector.trust["mode"]
        assert platform.disk_image_oci_ref == f"{vector.repository}@{vector.digest}"
        assert platform.disk_image_publication_error is None
        assert platform.default_publication_id == publication.id
        [event] = world.events("published")
        assert event.payload["sha256"] == vector.digest.removeprefix("sha256:")
        assert event.payload["signer"] == publication.signer
    else:
        assert outcome == publication.status == "failed"
        assert publication.signer is None
        assert platform.disk_image_oci_ref is None
        assert platform.default_publication_id is None
        [event] = world.events("publish_failed")
        assert event.payload["error_message"] == publication.error_message == platform.disk_image_publication_error
        assert event.payload["delivery_id"] == str(delivery_id)
        assert event.payload["publication_id"] == str(publication.id)
    world.catalog.close()


def test_the_first_publication_becomes_the_default_and_later_ones_do_not(world: CoreHarness) -> None:
    platform_id = world.platform()
    first = world.publish()
    world.publish()
    assert world.find_platform(platform_id).default_publication_id == first
    assert [event.payload["publication_id"] for event in world.events("promoted")] == [str(first)]
    kinds = [event.kind for event in world.events()]
    assert kinds == ["system.disk_image_published", "system.disk_image_promoted", "system.disk_image_published"]


def test_a_published_publication_says_what_was_verified(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image(tag="v1")
    world.process(world.announce(ref="/os/images:v1", git_sha="abc", run_id=7))
    [publication] = world.publications()
    assert publication.oci_ref == f"{REPOSITORY}:v1"
    assert (publication.arch, publication.git_sha, publication.claims["run_id"]) == ("amd64", "abc", "7")
    manifest = json.loads(world.layout.blobs[digest])
    assert publication.size_bytes == sum(blob["size"] for blob in [manifest["config"], *manifest["layers"]])
    assert publication.verified_at == publication.published_at == world.clock.now()
    assert publication.signer is not None
    assert len(publication.signer["key_sha256"]) == 64


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"slug": "nobody"}, "names the node platform 'nobody', which does not exist"),
        ({"ref": "127.0.0.1:5000/os/other:v1"}, "the platform's is 127.0.0.1:5000/os/images"),
        ({"ref": "127.0.0.1:5001/os/images:v1"}, "the platform's is 127.0.0.1:5000/os/images"),
        ({"ref": "127.0.0.1:5000/os/images:missing"}, "does not exist"),
        ({"sha256": "00" * 32}, "announced with sha256 0000"),
    ],
)
def test_what_never_gets_a_digest_fails_without_a_publication(
    world: CoreHarness, body: dict[str, Any], reason: str
) -> None:
    world.platform()
    world.images.image(tag="v1")
    delivery_id = world.announce(**body)
    assert world.process(delivery_id) == "failed"
    delivery = world.delivery(delivery_id)
    assert (delivery.status, delivery.publication_id) == ("failed", None)
    assert reason in str(delivery.error_message)
    [event] = world.events("publish_failed")
    assert event.payload["publication_id"] is None
    assert world.publications() == []


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"size_bytes": 1}, "announced with 1 bytes"),
        ({"arch": "arm64"}, "announced for arm64, but the platform is amd64"),
        ({"oci_digest": f"sha256:{'0' * 64}"}, "is not there"),
    ],
)
def test_a_claim_that_differs_fails_the_publication(world: CoreHarness, claims: dict[str, Any], reason: str) -> None:
    world.platform()
    world.images.image(tag="v1")
    assert world.process(world.announce(**claims)) == "failed"
    [publication] = world.publications()
    assert publication.status == "failed"
    assert reason in str(publication.error_message)


def test_claims_that_hold_are_no_obstacle(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image(tag="v1")
    manifest = json.loads(world.layout.blobs[digest])
    size = sum(blob["size"] for blob in [manifest["config"], *manifest["layers"]])
    claims = {"oci_digest": digest, "sha256": digest.upper().replace("SHA", "sha"), "size_bytes": size}
    assert world.process(world.announce(arch="x86_64", **claims)) == "published"


def test_an_index_is_published_with_the_size_of_the_platforms_architecture(world: CoreHarness) -> None:
    platform_id = world.platform()
    amd64, arm64 = world.images.image(sign=False), world.images.image(sign=False, layers=[])
    digest = world.images.index({"amd64": amd64, "arm64": arm64})
    publication = world.publication(world.publish(digest=digest))
    manifest = json.loads(world.layout.blobs[amd64])
    assert publication.size_bytes == sum(blob["size"] for blob in [manifest["config"], *manifest["layers"]])
    assert world.find_platform(platform_id).disk_image_oci_ref == f"{REPOSITORY}@{digest}"


@pytest.mark.parametrize("field", ["size", "title"])
def test_one_digest_with_two_sizes_is_rejected(world: CoreHarness, field: str) -> None:
    world.platform()
    blob = world.images.blob(b"kernel", "application/vnd.bootpress.kernel.v1")
    titled = {"annotations": {"org.opencontainers.image.title": "b"}} if field == "title" else {}
    digest = world.images.image(layers=[{**blob, "size": 5000, **titled}, blob])
    assert world.process(world.announce(ref=f"{REPOSITORY}@{digest}")) == "failed"
    [publication] = world.publications()
    assert publication.size_bytes is None


def test_text_that_no_database_takes_is_settled_all_the_same(world: CoreHarness) -> None:
    world.platform()
    delivery_id = world.announce()
    error = ContentRejected("holds a \0 and half a \ud800 pair")
    assert completion.finish_with_error(world.context, world.begin(delivery_id), error) == "failed"
    assert "holds a" in str(world.delivery(delivery_id).error_message)


def test_a_delivery_keeps_to_the_digest_it_resolved_when_its_tag_moves(world: CoreHarness) -> None:
    world.platform()
    first = world.images.image(tag="v1")
    delivery_id = world.announce()
    with world.registry_away(first):
        assert world.process(delivery_id) == "postponed"
        world.images.image(tag="v1")
    assert world.process(delivery_id) == "published"
    assert [row.oci_digest for row in world.publications()] == [first]
    assert {row.status for row in world.publications()} == {"published"}


def test_evidence_of_one_try_never_publishes_the_next(world: CoreHarness) -> None:
    world.platform()
    world.images.image(tag="v1")
    attempt_id = world.begin(world.announce())
    prove(world, attempt_id)
    ingest.resolve(world.context, attempt_id)
    with pytest.raises(Superseded, match="no evidence of: manifest, signature, blobs"):
        completion.publish(world.context, attempt_id)


@pytest.mark.parametrize("missing", range(3))
def test_nothing_is_published_without_evidence_of_every_step(world: CoreHarness, missing: int) -> None:
    world.platform()
    world.images.image(tag="v1")
    attempt_id = world.begin(world.announce())
    ingest.resolve(world.context, attempt_id)
    for number, step in enumerate(ingest.STEPS):
        if number != missing and not (missing == 0 and number == 2):
            step(world.context, attempt_id)
    with pytest.raises(Superseded, match="no evidence"):
        completion.publish(world.context, attempt_id)
    assert world.publications()[0].status == "verifying"
