"""Signatures by bare keys, under a platform that trusts one: by other keys, in other ways, of other bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.attack_scenarios import SERVICES, AttackScenario, Case, make_image
from tests.support.layouts import LayoutRegistry
from tests.support.mutations import CERTIFICATE, put_bundle, put_legacy, put_referrers
from tests.support.sigstore_services import Json, simple_signing, statement
from tests.support.sigstore_services.encoding import base64_text
from tests.support.sigstore_services.services import PAYLOAD_TYPE

Sign = Callable[[bytes], bytes]
_P256, _STRANGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
_P384 = ec.generate_private_key(ec.SECP384R1())
_P521 = ec.generate_private_key(ec.SECP521R1())
_RSA = rsa.generate_private_key(65537, 2048)
_ED25519 = ed25519.Ed25519PrivateKey.generate()
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256's group (SEC 2, section 2.4.2)."""
_ANOTHER_KEY = "signed by another key"


def _ecdsa(key: ec.EllipticCurvePrivateKey, algorithm: hashes.HashAlgorithm) -> Sign:
    return lambda message: key.sign(message, ec.ECDSA(algorithm))


def _rsa_pkcs1(algorithm: hashes.HashAlgorithm) -> Sign:
    return lambda message: _RSA.sign(message, padding.PKCS1v15(), algorithm)


def _rsa_pss(message: bytes) -> bytes:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    return _RSA.sign(message, pss, hashes.SHA256())


_HONEST: dict[str, tuple[ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey, Sign]] = {
    "P-256": (_P256, _ecdsa(_P256, hashes.SHA256())),
    "P-384": (_P384, _ecdsa(_P384, hashes.SHA384())),
    "P-521": (_P521, _ecdsa(_P521, hashes.SHA512())),
    "RSA": (_RSA, _rsa_pkcs1(hashes.SHA256())),
    "Ed25519": (_ED25519, _ED25519.sign),
}


@dataclass(frozen=True, slots=True)
class SignedByKey:
    """An image with a signature as cosign writes it, by whatever makes one; the platform trusts the key of a kind."""

    kind: str
    sign: Sign
    legacy: bool = False
    payload_type: str = PAYLOAD_TYPE
    """What was signed as the type of the payload; what is written down is always in-toto's."""
    certificate: bool = False
    """Whether a certificate for the key that signs lies beside the signature."""
    encode: Callable[[str, bytes], bytes] | None = None
    """Makes what is signed of type and payload, in DSSE's place."""

    def __call__(self) -> AttackScenario:
        """Make the image and sign it."""
        registry = LayoutRegistry()
        digest = make_image(registry)
        if self.legacy:
            payload = json.dumps(simple_signing(digest)).encode()
            annotations = {"dev.cosignproject.cosign/signature": base64_text(self.sign(payload))}
            if self.certificate:
                annotations[CERTIFICATE] = SERVICES.issue().pem
            put_legacy(registry, digest, (payload, annotations))
        else:
            put_referrers(registry, digest, [put_bundle(registry, digest, self._bundle(digest))])
        pem = _HONEST[self.kind][0].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return AttackScenario(registry, digest, {"mode": "keys", "public_keys": [pem.decode()]})

    def _bundle(self, digest: str) -> Json:
        payload = json.dumps(statement(digest)).encode()
        signature = self.sign((self.encode or _pae)(self.payload_type, payload))
        material: Json = {"publicKey": {"hint": ""}}
        if self.certificate:
            material = {"certificate": {"rawBytes": SERVICES.issue().der}}
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": base64_text(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64_text(signature)}],
            },
        }


def cases() -> Iterator[Case]:
    """Yield every case of this family."""
    yield from _other_keys_and_hashes()
    yield from _forgeries()
    yield from _other_bytes()
    for legacy in (False, True):
        kind = partial(SignedByKey, "P-256", _HONEST["P-256"][1], legacy)
        sentence = f"a good signature by the key beside a certificate, {_format(legacy)}"
        yield Case(sentence, partial(kind, certificate=True)(), kind(), "it is not signed by a bare key")


def _other_keys_and_hashes() -> Iterator[Case]:
    wrong: dict[str, tuple[str, Sign]] = {
        "another key": ("P-256", _ecdsa(_STRANGER, hashes.SHA256())),
        "a key on another curve": ("P-256", _ecdsa(_P384, hashes.SHA384())),
        "a key of another kind": ("P-256", _HONEST["RSA"][1]),
        "the key with another hash": ("P-256", _ecdsa(_P256, hashes.SHA512())),
        "the key on P-384 with SHA-256": ("P-384", _ecdsa(_P384, hashes.SHA256())),
        "the key on P-521 with SHA-384": ("P-521", _ecdsa(_P521, hashes.SHA384())),
        "the RSA key with SHA-512": ("RSA", _rsa_pkcs1(hashes.SHA512())),
        "the RSA key with another padding": ("RSA", _rsa_pss),
        "the Ed25519 key over the hash alone": ("Ed25519", lambda m: _ED25519.sign(hashlib.sha512(m).digest())),
    }
    for sentence, (kind, sign) in wrong.items():
        for legacy in (False, True):
            hostile, honest = SignedByKey(kind, sign, legacy), SignedByKey(kind, _HONEST[kind][1], legacy)
            yield Case(f"a signature by {sentence}, {_format(legacy)}", hostile, honest, _ANOTHER_KEY)


def _forgeries() -> Iterator[Case]:
    sign = _HONEST["P-256"][1]
    forged: dict[str, Sign] = {
        "of zeros": lambda _message: utils.encode_dss_signature(0, 0),
        "of the order of the curve": lambda _message: utils.encode_dss_signature(_ORDER, _ORDER),
        "of two bytes": lambda _message: b"\x30\x00",
        "with more behind it": lambda message: sign(message) + b"\0",
        "of half a megabyte": lambda _message: b"\x30\x84\x00\x08\x00\x00" + bytes(500_000),
        "of the message itself": lambda message: message,
    }
    for sentence, forge in forged.items():
        hostile, honest = SignedByKey("P-256", forge), SignedByKey("P-256", sign)
        yield Case(f"a signature {sentence}, cosign 3", hostile, honest, _ANOTHER_KEY)


def _other_bytes() -> Iterator[Case]:
    sign = _HONEST["P-256"][1]
    honest = SignedByKey("P-256", sign)
    for sentence, hostile in {
        "under another payload type": SignedByKey("P-256", sign, payload_type="application/vnd.in-toto"),
        "of the payload without its type": SignedByKey("P-256", sign, encode=lambda _kind, payload: payload),
        "of the payload in DSSE's first encoding": SignedByKey("P-256", sign, encode=_first_pae),
        "of the payload's hash": SignedByKey(
            "P-256", sign, encode=lambda kind, payload: hashlib.sha256(_pae(kind, payload)).digest()
        ),
    }.items():
        yield Case(f"a signature by the right key {sentence}, cosign 3", hostile, honest, _ANOTHER_KEY)


def _pae(kind: str, payload: bytes) -> bytes:
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def _first_pae(kind: str, payload: bytes) -> bytes:
    """Return what drafts of DSSE signed: lengths as 64 bit integers."""
    parts = [b"DSSEv1", kind.encode(), payload]
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def _format(legacy: bool) -> str:  # noqa: FBT001 - one of two names
    return "cosign 2" if legacy else "cosign 3"
