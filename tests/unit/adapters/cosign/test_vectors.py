"""What real cosign signed through real services gets the verdict it deserves, without a network."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import SignatureRejected
from bootpress.core.ports import Signer
from tests.support.vectors import Vector, load_vectors, trusted_root

VECTORS = load_vectors()
IDENTITY = "https://gitea.example/os/images/.gitea/workflows/build-disk-image.yml@refs/heads/main"
REASONS = {
    "unsigned": "carries no signature",
    "foreign-repository": "another identity: 'https://gitea.example/mallory/images/",
    "foreign-workflow": "another identity: 'https://gitea.example/os/images/.gitea/workflows/other.yml@",
    "pull-request-ref": "@refs/pull/9/merge'",
    "dot-is-not-any": "another identity: 'https://gitea.example/os/images/Xgitea/",
    "suffix-attack": "another identity: 'https://gitea.example/mallory/x@https://gitea.example/os/images/",
    "wrong-key": "signed by another key",
    "wrong-key-v2": "signed by another key",
    "keyless-under-keys-policy": "it is not signed by a bare key, and the platform trusts keys only",
    "key-under-keyless-policy": "it is signed by a bare key, and the platform trusts certificates only",
    "attestation-only": "it is an attestation (https://spdx.dev/Document), not an image signature",
    "keyless-v2-foreign": "another identity: 'https://gitea.example/mallory/images/",
    "replayed": "it is a signature of something else: sha256:",
}


@pytest.fixture(scope="module")
def verifier() -> CosignVerifier:
    return CosignVerifier()


def test_all_recorded_cases_are_there() -> None:
    assert len(VECTORS) == 25
    assert {name for name, vector in VECTORS.items() if not vector.is_good} == set(REASONS)


@pytest.mark.parametrize("vector", [pytest.param(v, id=v.name) for v in VECTORS.values() if v.is_good])
def test_a_good_signature_is_accepted(verifier: CosignVerifier, vector: Vector) -> None:
    found = verifier.verify(vector.open(), vector.repository, vector.digest, vector.policy)

    assert found.signer.mode == vector.trust["mode"]
    assert found.format == ("legacy-v2" if "v2" in vector.name else "bundle-v3")


@pytest.mark.parametrize("name", sorted(REASONS))
def test_a_bad_signature_is_rejected_for_its_reason(verifier: CosignVerifier, name: str) -> None:
    vector = VECTORS[name]
    with pytest.raises(SignatureRejected, match=re.escape(REASONS[name])):
        verifier.verify(vector.open(), vector.repository, vector.digest, vector.policy)


def test_a_keyless_signature_tells_who_signed_and_when(verifier: CosignVerifier) -> None:
    started = datetime.fromisoformat(trusted_root()["timestampAuthorities"][0]["validFor"]["start"])
    for name in ("keyless-v3-rekor1", "keyless-v3-rekor2", "keyless-v2"):
        vector = VECTORS[name]
        found = verifier.verify(vector.open(), vector.repository, vector.digest, vector.policy)

        assert found.signer.identity == IDENTITY
        assert found.signer.issuer == vector.trust["cosign_issuer_regexp"].replace("\\", "")
        assert found.signer.key_sha256 is None
        assert found.signed_at is not None
        assert timedelta(0) < found.signed_at - started < timedelta(minutes=30)


def test_a_key_signature_tells_which_key_signed_and_no_time(verifier: CosignVerifier) -> None:
    vector = VECTORS["keys-rotation"]
    key = load_pem_public_key((vector.path.parent / "key-b.pub").read_bytes())
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    found = verifier.verify(vector.open(), vector.repository, vector.digest, vector.policy)

    assert found.signer == Signer(mode="keys", key_sha256=hashlib.sha256(der).hexdigest())
    assert found.signed_at is None


def test_the_reference_that_cosign_2_signed_is_recorded(verifier: CosignVerifier) -> None:
    vector = VECTORS["keys-v2"]
    found = verifier.verify(vector.open(), vector.repository, vector.digest, vector.policy)
    assert str(found.docker_reference).endswith("/public/keys-v2")
