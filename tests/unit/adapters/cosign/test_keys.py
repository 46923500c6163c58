"""A signature holds under its key, its hash and its message, and under nothing else."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from bootpress.adapters.cosign import keys

MESSAGE = b"what is signed"
P256, P384, P521 = (ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()))
RSA = rsa.generate_private_key(65537, 2048)
ED25519 = ed25519.Ed25519PrivateKey.generate()


def test_each_curve_has_its_hash() -> None:
    for key, good in ((P256, hashes.SHA256()), (P384, hashes.SHA384()), (P521, hashes.SHA512())):
        public = keys.wrap(key.public_key())
        for algorithm in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
            signature = key.sign(MESSAGE, ec.ECDSA(algorithm))
            assert public.verifies(signature, MESSAGE) == (algorithm.name == good.name)


def test_rsa_is_pkcs_1_with_sha_256() -> None:
    public = keys.wrap(RSA.public_key())
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    assert public.verifies(RSA.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256()), MESSAGE)
    assert not public.verifies(RSA.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA512()), MESSAGE)
    assert not public.verifies(RSA.sign(MESSAGE, pss, hashes.SHA256()), MESSAGE)


def test_ed25519_is_over_the_message_itself() -> None:
    public = keys.wrap(ED25519.public_key())
    assert public.verifies(ED25519.sign(MESSAGE), MESSAGE)
    assert not public.verifies(ED25519.sign(hashlib.sha512(MESSAGE).digest()), MESSAGE)


def test_a_key_of_another_kind_does_not_hold() -> None:
    signature = P256.sign(MESSAGE, ec.ECDSA(hashes.SHA256()))
    for other in (ec.generate_private_key(ec.SECP256R1()), P384, P521, RSA, ED25519):
        assert not keys.wrap(other.public_key()).verifies(signature, MESSAGE)


@given(st.sampled_from([P256, P384, P521, RSA, ED25519]), st.binary(max_size=600))
def test_any_bytes_are_judged(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, signature: bytes
) -> None:
    assert not keys.wrap(key.public_key()).verifies(signature, MESSAGE)


def test_the_fingerprint_is_that_of_the_uncompressed_key() -> None:
    point = P256.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    compressed = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    der = P256.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert keys.wrap(compressed).sha256 == hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize("raw", [b"", b"\x30\x00", b"\xff" * 100])
def test_bytes_that_are_no_key_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        keys.load_der(raw)
