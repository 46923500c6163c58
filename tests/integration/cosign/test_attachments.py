"""What real cosign 2 attaches to an image is recognised as that image's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootpress.adapters.cosign.attachments import find_attachments
from tests.integration.cosign.conftest import SigningHarness

pytestmark = [pytest.mark.part("docker-registry"), pytest.mark.part("cosign2")]


def test_signature_attestation_and_sbom_of_cosign_2_are_found(bench: SigningHarness, tmp_path: Path) -> None:
    cosign, digest, other = bench.cosign(2, tmp_path), bench.push_image(), bench.push_image()
    key = cosign.make_key("ours")
    document = tmp_path / "sbom.json"
    document.write_text('{"spdxVersion": "SPDX-2.3"}')
    for _ in range(2):  # a second signature is a second layer of the same manifest
        cosign.sign(bench.repository.at(digest), key)
        cosign.attest(bench.repository.at(digest), key, document)
    cosign.attach_sbom(bench.repository.at(digest), document)
    found = find_attachments(bench.registry, bench.repository, digest)
    assert [(one.suffix, one.names_subject) for one in found] == [(".sig", True), (".att", True), (".sbom", False)]
    tags = [f"sha256-{digest[7:]}{one.suffix}" for one in found]
    assert [bench.registry.find_tag(bench.repository, tag) for tag in tags] == [one.digest for one in found]
    assert find_attachments(bench.registry, bench.repository, other) == []
