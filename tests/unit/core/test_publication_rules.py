"""What an artifact must be to be published, and how its announcement is held against it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.core.deliveries.payload import DeliveryPayload
from bootpress.core.errors import ContentRejected, ReferenceRejected
from bootpress.core.ports import Descriptor, Manifest
from bootpress.core.publications import rules
from bootpress.core.references import Repository

DIGEST, OTHER = f"sha256:{'0a' * 32}", f"sha256:{'0b' * 32}"
HOME = Repository("registry.example:5000", "os/images")
SIZES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2**40)), max_size=12)


def said(**fields: object) -> DeliveryPayload:
    return DeliveryPayload.model_validate({"platform_slug": "edge", "oci_ref": "/os/images:v1", **fields})


def blob(number: int, size: int) -> Descriptor:
    return Descriptor("application/octet-stream", f"sha256:{number:064x}", size)


def manifest(*layers: Descriptor, config: Descriptor | None = None) -> Manifest:
    return Manifest(DIGEST, "image", 2, None, config or blob(99, 2), layers, (), None, {})


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("registry.example:5000/os/images:v1", "registry.example:5000/os/images:v1"),
        ("REGISTRY.example:5000/os/images", "registry.example:5000/os/images"),
        ("/os/images:v1", "registry.example:5000/os/images:v1"),
        ("os/images:v1", "registry.example:5000/os/images:v1"),
    ],
)
def test_a_reference_into_the_platforms_repository_is_read_with_its_host(text: str, written: str) -> None:
    assert str(rules.read_reference(text, repository=HOME)) == written


@pytest.mark.parametrize(
    "text",
    [
        "registry.example/os/images:v1",
        "registry.example:5001/os/images",
        "registry.example:5000/os/images2",
        "registry.example:5000/os/images/x",
        "registry.example:5000/os",
        "/os/image:v1",
        "registry.example:5000.evil.example/os/images",
        "not a reference",
    ],
)
def test_a_reference_to_anywhere_else_is_rejected(text: str) -> None:
    with pytest.raises(ReferenceRejected):
        rules.read_reference(text, repository=HOME)


def test_digests_that_are_claimed_must_be_the_one_that_is_there() -> None:
    rules.check_digest_claims(said(), DIGEST)
    rules.check_digest_claims(said(oci_digest=DIGEST, sha256=DIGEST[7:].upper()), DIGEST)
    for claim in ({"oci_digest": OTHER}, {"oci_ref": f"/os/images@{OTHER}"}, {"sha256": OTHER[7:]}, {"sha256": "x"}):
        with pytest.raises(ContentRejected, match="announced"):
            rules.check_digest_claims(said(**claim), DIGEST)


def test_size_and_architecture_that_are_claimed_must_be_those_that_are_there() -> None:
    rules.check_content_claims(said(), arch="amd64", size_bytes=7)
    rules.check_content_claims(said(arch=" X86_64 ", size_bytes=7), arch="amd64", size_bytes=7)
    rules.check_content_claims(said(arch="aarch64"), arch="arm64", size_bytes=7)
    for claim in ({"arch": "arm64"}, {"size_bytes": 8}, {"size_bytes": 0}):
        with pytest.raises(ContentRejected, match="announced"):
            rules.check_content_claims(said(**claim), arch="amd64", size_bytes=7)


def test_of_an_index_exactly_one_child_is_the_platforms() -> None:
    amd64 = Descriptor("m", DIGEST, 1, architecture="x86_64")
    others = [Descriptor("m", OTHER, 1, architecture=arch) for arch in ("arm64", "unknown", None)]
    assert rules.select_for_arch([*others, amd64], "amd64") is amd64
    with pytest.raises(ContentRejected, match="has no manifest for amd64"):
        rules.select_for_arch(others, "amd64")
    with pytest.raises(ContentRejected, match="has no manifest for amd64"):
        rules.select_for_arch([], "amd64")
    with pytest.raises(ContentRejected, match="has 2 manifests for amd64"):
        rules.select_for_arch([amd64, amd64], "amd64")


def test_a_stated_architecture_must_be_the_platforms_and_none_is() -> None:
    rules.check_stated_arch(None, "amd64")
    rules.check_stated_arch("x86_64", "amd64")
    with pytest.raises(ContentRejected, match="the image is for arm64"):
        rules.check_stated_arch("arm64", "amd64")


@given(SIZES)
def test_a_digest_with_two_sizes_is_rejected_and_one_that_is_named_twice_counts_once(
    named: list[tuple[int, int]],
) -> None:
    made = manifest(*(blob(number, size) for number, size in named))
    if len(set(named)) != len({number for number, _ in named}):
        with pytest.raises(ContentRejected, match="two sizes"):
            rules.check_sizes([made])
        return
    rules.check_sizes([made, made])
    assert rules.image_size(made) == 2 + sum(size for _, size in set(named))


def test_two_manifests_of_an_index_agree_on_sizes() -> None:
    with pytest.raises(ContentRejected, match="two sizes: 1 and 2"):
        rules.check_sizes([manifest(blob(1, 1)), manifest(blob(1, 2))])


def test_a_manifest_with_too_many_blobs_is_rejected() -> None:
    rules.blobs_of(manifest(*(blob(number, 1) for number in range(rules.MAX_BLOBS - 1))))
    with pytest.raises(ContentRejected, match="names 1001 blobs"):
        rules.blobs_of(manifest(*(blob(number, 1) for number in range(rules.MAX_BLOBS))))
