"""Public keys that a policy names, and signatures by them, in the algorithms that cosign writes.

ECDSA on P-256, P-384 and P-521 with SHA-256, SHA-384 and SHA-512, one hash per curve; RSA PKCS #1 v1.5 with
SHA-256; Ed25519 (RFC 8032, pure). What cosign 2.6 and 3.1 write with an imported Ed25519 key is Ed25519ph, which
neither they nor the `cryptography` library verify: such a signature does not hold here either.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from bootpress.adapters.cosign import parsing
from bootpress.core.errors import InvalidInput
from bootpress.core.texts import shown

_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}
_RSA_BITS = range(2048, 8192 + 1)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key of a kind that cosign signs with; `sha256` is the hex SHA-256 of its DER SubjectPublicKeyInfo."""

    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
    sha256: str

    @property
    def pem(self) -> str:
        """Return the key as one PEM block, PUBLIC KEY (RFC 7468, section 13), and nothing else."""
        return self.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether `signature` is this key's over `message`."""
        try:
            match self.key:
                case ec.EllipticCurvePublicKey():
                    self.key.verify(signature, message, ec.ECDSA(_HASHES[self.key.curve.name]()))
                case rsa.RSAPublicKey():
                    self.key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
                case ed25519.Ed25519PublicKey():
                    self.key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def load_pem(text: str) -> PublicKey:
    """Read one PEM public key (SubjectPublicKeyInfo, RFC 7468 section 13); InvalidInput for anything else."""
    labels = parsing.find_pem_labels(text)
    if any("PRIVATE KEY" in label for label in labels or []) or "PRIVATE KEY" in text:
        raise InvalidInput(
            "this is a private key", hint="give the public key (cosign.pub), and replace the private one"
        )
    if labels != ["PUBLIC KEY"]:
        found = ", ".join(labels) if labels else "something else"
        raise InvalidInput(
            f"this is not one PEM public key but {shown(found)}",
            hint="one block that begins with BEGIN PUBLIC KEY",
        )
    try:
        return wrap(load_pem_public_key(text.strip().encode()))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidInput(f"the public key cannot be read: {parsing.error_summary(error)}") from error


def load_der(raw: bytes) -> PublicKey:
    """Read a DER SubjectPublicKeyInfo; ValueError for anything else."""
    try:
        return wrap(load_der_public_key(raw))
    except UnsupportedAlgorithm as error:
        raise ValueError("unsupported algorithm") from error


def wrap(key: object) -> PublicKey:
    """Take a key of the `cryptography` library; ValueError for a kind or size that cosign does not sign with."""
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in _HASHES:
            pass
        case rsa.RSAPublicKey() if key.key_size in _RSA_BITS:
            pass
        case ed25519.Ed25519PublicKey():
            pass
        case _:
            raise ValueError("neither ECDSA on P-256, P-384 or P-521, nor RSA of 2048 to 8192 bits, nor Ed25519")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(key, hashlib.sha256(der).hexdigest())
