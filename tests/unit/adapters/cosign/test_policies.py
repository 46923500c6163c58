"""A policy that cannot work is refused when it is saved, by the field that is to blame."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bootpress.adapters.cosign.keys import load_pem
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import InvalidInput
from bootpress.core.platforms.trust import KeylessTrust, KeysTrust
from bootpress.core.ports import Signer
from tests.support.vectors import VECTORS, Vector, trusted_root

KEY_A = (VECTORS / "key-a.pub").read_text()
KEY_B = (VECTORS / "key-b.pub").read_text()


def public(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def private(key: Any, password: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    return pem.decode()


def keys(*pems: str) -> KeysTrust:
    return KeysTrust(mode="keys", public_keys=pems)


def keyless(**fields: Any) -> KeylessTrust:
    expressions = {"cosign_identity_regexp": ".*", "cosign_issuer_regexp": ".*"}
    return KeylessTrust(**{"mode": "keyless", "trusted_root": trusted_root(), **expressions, **fields})


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(KEY_A, id="as cosign writes it"),
        pytest.param(KEY_A.replace("\n", "\r\n"), id="with line ends of Windows"),
        pytest.param("\n" + KEY_A.strip() + " \n", id="with blank space around"),
        pytest.param(public(ec.generate_private_key(ec.SECP384R1())), id="P-384"),
        pytest.param(public(ec.generate_private_key(ec.SECP521R1())), id="P-521"),
        pytest.param(public(ed25519.Ed25519PrivateKey.generate()), id="Ed25519"),
        pytest.param(public(rsa.generate_private_key(65537, 2048)), id="RSA"),
    ],
)
def test_keys_that_cosign_signs_with_are_taken(pem: str) -> None:
    CosignVerifier().check_policy(keys(KEY_B, pem))


P256 = ec.generate_private_key(ec.SECP256R1())
BAD_KEYS = {
    "a private key": (private(P256), "private key"),
    "an encrypted private key": (private(P256, b"secret"), "private key"),
    "a private key beside": (KEY_A + private(P256), "private key"),
    "cosign's private key": (
        "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
        "private key",
    ),
    "an old private key with headers": (
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
        "private key",
    ),
    "a certificate": ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "CERTIFICATE"),
    "PKCS 1": ("-----BEGIN RSA PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----\n", "RSA PUBLIC KEY"),
    "two in one": (KEY_A + KEY_B, "PUBLIC KEY, PUBLIC KEY"),
    "text before": ("my key\n" + KEY_A, "something else"),
    "no PEM": ("ssh-ed25519 AAAA", "something else"),
    "damaged": (KEY_A.replace("MFkw", "MFkx"), "cannot be read"),
    "cut": (KEY_A.replace("-----END PUBLIC KEY-----", ""), "something else"),
    "P-224": (public(ec.generate_private_key(ec.SECP224R1())), "neither ECDSA"),
    "secp256k1": (public(ec.generate_private_key(ec.SECP256K1())), "neither ECDSA"),
    "RSA of 1024 bits": (public(rsa.generate_private_key(65537, 1024)), "neither ECDSA"),  # noqa: S505 - to be refused
    "Ed448": (public(ed448.Ed448PrivateKey.generate()), "neither ECDSA"),
    "DSA": (public(dsa.generate_private_key(2048)), "neither ECDSA"),
}


@pytest.mark.parametrize("name", sorted(BAD_KEYS))
def test_what_is_no_public_key_of_cosigns_is_refused(name: str) -> None:
    pem, reason = BAD_KEYS[name]
    with pytest.raises(InvalidInput, match=reason) as caught:
        CosignVerifier().check_policy(keys(KEY_B, pem))
    assert caught.value.field == "trust.public_keys.1"
    assert "AAAA" not in str(caught.value)


def test_a_key_that_is_named_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="named twice") as caught:
        CosignVerifier().check_policy(keys(KEY_A, KEY_B, "\n" + KEY_A))
    assert caught.value.field == "trust.public_keys.2"


@pytest.mark.parametrize(
    "expression",
    ["(", "[", "a{2,1}", "a{1001}", "(?=a)", r"(a)\1", "(?P<n>a", "((a{100}){100}){100}", r"\pL{1000}", "*"],
)
@pytest.mark.parametrize("field", ["cosign_identity_regexp", "cosign_issuer_regexp"])
def test_an_expression_that_does_not_compile_is_refused(
    field: str, expression: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        CosignVerifier().check_policy(keyless(**{field: expression}))
    assert caught.value.field in {f"trust.{field}", "trust"}
    assert capfd.readouterr() == ("", "")


def test_a_trusted_root_is_looked_at_when_the_policy_is_saved() -> None:
    CosignVerifier().check_policy(keyless())


def test_the_public_good_root_is_not_looked_up_when_the_policy_is_saved() -> None:
    CosignVerifier().check_policy(keyless(trusted_root="public-good"))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in trusted_root().items() if key != name}


def deep() -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(500):
        document = {"a": document}
    return document


def public_key(**period: str) -> dict[str, Any]:
    key: dict[str, Any] = trusted_root()["tlogs"][0]["publicKey"]
    return key | {"validFor": key["validFor"] | period}


BAD_ROOTS = {
    "empty": {},
    "another media type": trusted_root() | {"mediaType": "application/json"},
    "of the next version": trusted_root() | {"mediaType": "application/vnd.dev.sigstore.trustedroot.v0.2+json"},
    "no logs": trusted_root() | {"tlogs": []},
    "no authorities": trusted_root() | {"certificateAuthorities": []},
    "logs missing": without("tlogs"),
    "authorities missing": without("certificateAuthorities"),
    "unknown members": trusted_root() | {"extra": 1},
    "logs an object": trusted_root() | {"tlogs": {}},
    "too large": trusted_root() | {"padding": "x" * (1 << 20)},
    "not a number": trusted_root() | {"padding": float("nan")},
    "deeply nested": trusted_root() | {"padding": deep()},
    "an empty chain": trusted_root()
    | {"certificateAuthorities": [trusted_root()["certificateAuthorities"][0] | {"certChain": {"certificates": []}}]},
    "a key that is none": trusted_root()
    | {"tlogs": [trusted_root()["tlogs"][0] | {"publicKey": {"rawBytes": "AAAA", "keyDetails": "PKIX_ED25519"}}]},
    "no key at all": trusted_root()
    | {"tlogs": [trusted_root()["tlogs"][0] | {"publicKey": {"keyDetails": "PKIX_ED25519"}}]},
    "an end without zone": trusted_root()
    | {"tlogs": [trusted_root()["tlogs"][0] | {"publicKey": public_key(end="2040-01-01T00:00:00")}]},
    "a time without zone": trusted_root()
    | {
        "certificateAuthorities": [
            trusted_root()["certificateAuthorities"][0] | {"validFor": {"start": "2024-01-01T00:00:00"}}
        ]
    },
}


@pytest.mark.parametrize("name", sorted(BAD_ROOTS))
def test_what_is_no_trusted_root_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        CosignVerifier().check_policy(keyless(trusted_root=BAD_ROOTS[name]))
    assert caught.value.field in {"trust.trusted_root", "trust"}
    assert len(str(caught.value)) < 500


def test_a_policy_is_read_once_for_all_signatures_that_it_judges(vectors: dict[str, Vector]) -> None:
    verifier, vector = CosignVerifier(), vectors["keys-v3"]
    for _ in range(3):
        verifier.verify(vector.open(), vector.repository, vector.digest, vector.policy)
    assert verifier._compile.cache_info().misses == 1


PADDING = {
    "blank space": lambda pem: " \n" * 2000 + pem + "\t" * 2000,
    "line ends of Windows": lambda pem: pem.replace("\n", "\r\n"),
    "other line lengths": lambda pem: re.sub(r"(?m)^([A-Za-z0-9+/]{20})([A-Za-z0-9+/]{20})", r"\1\n\2\n", pem),
}


@pytest.mark.parametrize("pad", PADDING.values(), ids=PADDING)
def test_a_key_is_kept_in_one_spelling(pad: Callable[[str], str]) -> None:
    verifier = CosignVerifier()
    plain = verifier.normalise(keys(KEY_A, KEY_B))
    padded = keys(pad(KEY_A), KEY_B)
    assert padded != plain
    assert verifier.normalise(padded) == plain == keys(KEY_A, KEY_B)


def test_a_keyless_policy_is_kept_as_it_is() -> None:
    assert CosignVerifier().normalise(keyless()) == keyless()


def test_what_does_not_hold_is_kept_in_no_spelling() -> None:
    with pytest.raises(InvalidInput, match="named twice"):
        CosignVerifier().normalise(keys(KEY_A, "\n" + KEY_A))
    with pytest.raises(InvalidInput):
        CosignVerifier().normalise(keyless(cosign_identity_regexp="("))


SIGNER_A = Signer(mode="keys", key_sha256=load_pem(KEY_A).sha256)
SOMEBODY = Signer(mode="keyless", identity="https://ci.example/a", issuer="https://issuer.example")


@pytest.mark.parametrize(
    ("policy", "signer", "trusted"),
    [
        (keys(KEY_B, KEY_A), SIGNER_A, True),
        (keys(KEY_B), SIGNER_A, False),
        (keys(KEY_A), SOMEBODY, False),
        (keys(KEY_A), Signer(mode="keys"), False),
        (keyless(), SOMEBODY, True),
        (keyless(), SIGNER_A, False),
        (keyless(cosign_identity_regexp="https://ci"), SOMEBODY, False),
        (keyless(cosign_issuer_regexp="https://issuer.exampl"), SOMEBODY, False),
        (keyless(), Signer(mode="keyless", identity="https://ci.example/a"), False),
    ],
)
def test_a_signer_is_told_from_a_policy_alone(
    policy: KeysTrust | KeylessTrust, signer: Signer, *, trusted: bool
) -> None:
    assert CosignVerifier().trusts(policy, signer) is trusted
