"""Real cosign 2 and 3 against a real registry: what they write is accepted, and they accept what we write."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bootpress.adapters.cosign.key_files import read_signing_key
from bootpress.adapters.cosign.signing import SigningKey
from bootpress.core.errors import SignatureRejected
from bootpress.core.ports import Descriptor
from bootpress.core.workers.signing_keys import create_key_pair
from tests.integration.cosign.conftest import SigningHarness
from tests.support.cosign import Cosign, Key
from tests.support.registries import everywhere

BOTH = [pytest.param(2, marks=pytest.mark.part("cosign2")), pytest.param(3, marks=pytest.mark.part("cosign3"))]
pytestmark = pytest.mark.part("docker-registry")


@everywhere("bench")
@pytest.mark.parametrize("major", BOTH)
def test_what_cosign_signs_with_a_key_is_accepted_under_that_key_alone(
    bench: SigningHarness, tmp_path: Path, major: int
) -> None:
    cosign = bench.cosign(major, tmp_path)
    key, other = cosign.make_key("ours"), cosign.make_key("theirs")
    digest = bench.push_image()
    cosign.sign(bench.repository.at(digest), key)

    found = bench.verify(digest, other.pem, key.pem)

    assert found.format == {2: "legacy-v2", 3: "bundle-v3"}[major]
    assert found.docker_reference == {2: str(bench.repository), 3: None}[major]
    with pytest.raises(SignatureRejected, match="signed by another key"):
        bench.verify(digest, other.pem)


@pytest.mark.parametrize("major", BOTH)
def test_cosign_signs_with_a_key_that_we_made_and_its_password_alone(
    bench: SigningHarness, tmp_path: Path, major: int
) -> None:
    cosign, made, digest = bench.cosign(major, tmp_path), create_key_pair(), bench.push_image()
    key = Key(tmp_path / "ours.key", tmp_path / "ours.pub", made.password)
    key.private.write_text(made.private_pem)
    key.public.write_text(made.public_pem)
    with pytest.raises(AssertionError, match="decrypt"):
        cosign.sign(bench.repository.at(digest), replace(key, password="not it"))

    cosign.sign(bench.repository.at(digest), key)

    assert cosign.verifies(bench.repository.at(digest), key.public)
    assert bench.verify(digest, made.public_pem).signer.mode == "keys"
    assert made.password not in repr(made)
    assert "PRIVATE KEY" not in repr(made)


@pytest.mark.parametrize("major", BOTH)
def test_a_private_key_that_cosign_made_is_read(bench: SigningHarness, tmp_path: Path, major: int) -> None:
    key = bench.cosign(major, tmp_path).make_key("ours")
    assert read_signing_key(key.private.read_text(), key.password).public_pem == key.pem


@pytest.mark.part("cosign3")
@everywhere("bench")
def test_cosign_3_leaves_a_fallback_tag_where_the_registry_does_not_list_referrers(
    bench: SigningHarness, tmp_path: Path
) -> None:
    cosign = bench.cosign(3, tmp_path)
    digest = bench.push_image()
    cosign.sign(bench.repository.at(digest), cosign.make_key("ours"))

    assert len(bench.registry.list_referrers(bench.repository, digest)) == 1
    fallback = bench.registry.find_tag(bench.repository, digest.replace(":", "-"))
    assert (fallback is None) is bench.place.has_referrers_api


@pytest.mark.part("cosign3")
def test_what_cosign_3_signs_in_the_old_format_is_accepted(bench: SigningHarness, tmp_path: Path) -> None:
    cosign = bench.cosign(3, tmp_path)
    key, digest = cosign.make_key("ours"), bench.push_image()
    cosign.sign_legacy(bench.repository.at(digest), key)

    assert bench.verify(digest, key.pem).format == "legacy-v2"


@pytest.mark.part("cosign2")
def test_what_cosign_2_signs_in_the_new_format_is_accepted(bench: SigningHarness, tmp_path: Path) -> None:
    cosign = bench.cosign(2, tmp_path)
    key, digest = cosign.make_key("ours"), bench.push_image()
    cosign.sign(bench.repository.at(digest), key, "--new-bundle-format=true")

    assert bench.verify(digest, key.pem).format == "bundle-v3"


@pytest.mark.parametrize("major", BOTH)
@pytest.mark.parametrize("kind", ["P-384", "P-521", "RSA"])
def test_every_kind_of_key_that_cosign_verifies_is_accepted(
    bench: SigningHarness, tmp_path: Path, major: int, kind: str
) -> None:
    cosign = bench.cosign(major, tmp_path)
    key, digest = import_key(cosign, kind), bench.push_image()
    cosign.sign(bench.repository.at(digest), key)

    assert bench.verify(digest, key.pem).signer.mode == "keys"


@pytest.mark.parametrize("major", BOTH)
def test_an_attestation_by_the_right_key_is_no_signature(bench: SigningHarness, tmp_path: Path, major: int) -> None:
    cosign = bench.cosign(major, tmp_path)
    key, digest = cosign.make_key("ours"), bench.push_image()
    predicate = tmp_path / "predicate.json"
    predicate.write_text(json.dumps({"built": True}))
    cosign.attest(bench.repository.at(digest), key, predicate)

    with pytest.raises(SignatureRejected):
        bench.verify(digest, key.pem)


@everywhere("bench")
@pytest.mark.parametrize("major", BOTH)
def test_a_signature_beside_many_by_others_is_found(bench: SigningHarness, tmp_path: Path, major: int) -> None:
    cosign = bench.cosign(major, tmp_path)
    key, other, digest = cosign.make_key("ours"), cosign.make_key("theirs"), bench.push_image()
    for signer in (other, key, other):
        cosign.sign(bench.repository.at(digest), signer)

    assert bench.verify(digest, key.pem).signer.mode == "keys"


@pytest.mark.part("cosign3")
def test_cosign_accepts_what_we_sign_and_so_do_we(bench: SigningHarness, tmp_path: Path) -> None:
    key, digest = SigningKey.create(), bench.push_image()
    push_signature(bench, key, digest)
    public = tmp_path / "cosign.pub"
    public.write_text(key.public_pem)
    stranger = tmp_path / "stranger.pub"
    stranger.write_text(SigningKey.create().public_pem)
    cosign = bench.cosign(3, tmp_path / "home")

    assert bench.verify(digest, key.public_pem).format == "bundle-v3"
    assert cosign.verifies(bench.repository.at(digest), public)
    assert not cosign.verifies(bench.repository.at(digest), stranger)


def push_signature(bench: SigningHarness, key: SigningKey, digest: str) -> None:
    manifest = bench.registry.fetch_manifest(bench.repository, digest)
    subject = Descriptor(manifest.media_type, digest, manifest.size)
    referrer = key.sign(subject, created=datetime.now(UTC))
    for blob in referrer.blobs:
        bench.pusher.push_blob(bench.repository, blob)
    bench.pusher.push_manifest(bench.repository, referrer.manifest, media_type=referrer.media_type)


def import_key(cosign: Cosign, kind: str) -> Key:
    made: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    match kind:
        case "P-384":
            made = ec.generate_private_key(ec.SECP384R1())
        case "P-521":
            made = ec.generate_private_key(ec.SECP521R1())
        case _:
            made = rsa.generate_private_key(65537, 3072)
    return cosign.import_key(kind, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
