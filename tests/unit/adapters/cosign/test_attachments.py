"""What lies under the tags of cosign 2 counts as an image's own only if it is cosign's and says so."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bootpress.adapters.cosign.attachments import MAX_MARKS, MAX_PAYLOAD, find_attachments
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import Attachment
from bootpress.core.references import Repository
from tests.support.attachments import (
    CONFIG,
    ENVELOPE,
    SBOM,
    SIGNATURE,
    attestation,
    envelope,
    manifest_of,
    signature_payload,
)
from tests.support.layouts import LayoutRegistry

REPOSITORY = Repository("127.0.0.1:5000", "os/images")
IMAGE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
TAG = "sha256-" + "1" * 64


def put(registry: LayoutRegistry, suffix: str, *layers: tuple[str, bytes], **more: Any) -> str:
    """Store a manifest of these layers under the image's tag with a suffix; return its digest."""
    config = {"mediaType": CONFIG, "digest": registry.add(b"{}"), "size": 2}
    described = [{"mediaType": media_type, "digest": registry.add(raw), "size": len(raw)} for media_type, raw in layers]
    return registry.add_json(manifest_of(config, described, **more), tag=TAG + suffix)


def test_signatures_attestations_and_an_sbom_are_found_each_under_its_tag() -> None:
    registry = LayoutRegistry()
    signed = put(registry, ".sig", (SIGNATURE, signature_payload(IMAGE)), (SIGNATURE, signature_payload(IMAGE)))
    attested = put(registry, ".att", (ENVELOPE, attestation(IMAGE)))
    listed = put(registry, ".sbom", (SBOM, b"{}"))
    assert find_attachments(registry, REPOSITORY, IMAGE) == [
        Attachment(signed, ".sig", names_subject=True),
        Attachment(attested, ".att", names_subject=True),
        Attachment(listed, ".sbom", names_subject=False),
    ]
    assert find_attachments(registry, REPOSITORY, OTHER) == []


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [(SIGNATURE, signature_payload(OTHER))],
        [(SIGNATURE, signature_payload(IMAGE)), (SIGNATURE, signature_payload(OTHER))],
        [(SIGNATURE, b"no JSON")],
        [(ENVELOPE, attestation(OTHER))],
        [(ENVELOPE, attestation(IMAGE, OTHER))],
        [(ENVELOPE, attestation())],
        [(ENVELOPE, attestation(IMAGE, payload_type="text/plain"))],
        [(ENVELOPE, b'{"payloadType": "application/vnd.in-toto+json", "payload": "?"}')],
        [("application/vnd.bootpress.kernel.v1", b"kernel")],
        [(SBOM, b"{}"), ("application/vnd.bootpress.kernel.v1", b"kernel")],
        [(SBOM, b"{}"), (SIGNATURE, signature_payload(OTHER))],
        [("application/vnd.dev.sigstore.bundle.v0.3+json", b"{}")],
        [(SBOM, b"%d" % number) for number in range(51)],
    ],
    ids=range(14),
)
@pytest.mark.parametrize("suffix", [".sig", ".att", ".sbom"])
def test_what_is_not_cosigns_or_not_of_this_image_alone_is_left_out(
    layers: list[tuple[str, bytes]], suffix: str
) -> None:
    registry = LayoutRegistry()
    put(registry, suffix, *layers)
    assert find_attachments(registry, REPOSITORY, IMAGE) == []


@pytest.mark.parametrize("name", ["payload", "payloadType", "signatures"])
def test_an_envelope_that_others_read_otherwise_is_left_out(name: str) -> None:
    registry = LayoutRegistry()
    ambiguous = attestation(IMAGE).replace(b"{", b'{"%s": null, ' % name.upper().encode(), 1)
    put(registry, ".att", (ENVELOPE, ambiguous))
    assert find_attachments(registry, REPOSITORY, IMAGE) == []


@pytest.mark.parametrize("name", ["Subject", "\u017fubject", "predicate_type", "type"])
def test_a_statement_that_others_read_otherwise_is_left_out(name: str) -> None:
    registry = LayoutRegistry()
    digest = {"sha256": "1" * 64}
    statement = {"_type": "https://in-toto.io/Statement/v0.1", "subject": [{"digest": digest}], "predicate": {}}
    put(registry, ".att", (ENVELOPE, envelope(json.dumps(statement).encode())))
    assert len(find_attachments(registry, REPOSITORY, IMAGE)) == 1
    put(registry, ".att", (ENVELOPE, envelope(json.dumps(statement | {name: None}).encode())))
    assert find_attachments(registry, REPOSITORY, IMAGE) == []


@pytest.mark.parametrize(("subject", "count"), [(IMAGE, 1), (OTHER, 0)])
def test_a_manifest_that_states_another_subject_is_left_out(subject: str, count: int) -> None:
    registry = LayoutRegistry()
    stated = {"mediaType": CONFIG, "digest": subject, "size": 2}
    put(registry, ".sbom", (SBOM, b"{}"), subject=stated)
    assert len(find_attachments(registry, REPOSITORY, IMAGE)) == count


def test_an_index_and_what_is_gone_are_left_out_and_hide_nothing() -> None:
    registry = LayoutRegistry()
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}
    registry.add_json(index, tag=f"{TAG}.sig")
    del registry.blobs[put(registry, ".att", (ENVELOPE, attestation(IMAGE)))]
    found = put(registry, ".sbom", (SBOM, b"{}"))
    assert [one.digest for one in find_attachments(registry, REPOSITORY, IMAGE)] == [found]


def test_an_attestation_with_a_large_sbom_is_read() -> None:
    registry = LayoutRegistry()
    raw = attestation(IMAGE, files=55_000)
    assert MAX_PAYLOAD * 3 // 4 < len(raw) < MAX_PAYLOAD
    attested = put(registry, ".att", (ENVELOPE, raw))
    assert find_attachments(registry, REPOSITORY, IMAGE) == [Attachment(attested, ".att", names_subject=True)]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (attestation(IMAGE) + b" " * MAX_PAYLOAD, "at most 16777216 are read"),
        (envelope(b"[" + b"0," * MAX_MARKS + b"0]"), "more than 1398101 brackets, commas and colons"),
    ],
    ids=["bytes", "parts"],
)
def test_an_attestation_that_is_too_large_to_read_is_said_to_be(raw: bytes, reason: str) -> None:
    registry = LayoutRegistry()
    attested = put(registry, ".att", (ENVELOPE, raw))
    [found] = find_attachments(registry, REPOSITORY, IMAGE)
    assert (found.digest, found.suffix, found.names_subject) == (attested, ".att", False)
    assert reason in str(found.unread)


def test_a_registry_that_is_away_is_never_taken_for_one_that_has_nothing() -> None:
    registry = LayoutRegistry()
    registry.away.add(f"{TAG}.att")
    with pytest.raises(RegistryUnavailable):
        find_attachments(registry, REPOSITORY, IMAGE)
