"""Signing keys as cosign keeps them: what it reads as a key file, with the password that it asks for.

The format is that of `cosign generate-key-pair`: a PEM whose body is JSON, which says how scrypt makes the key of a
NaCl secret box out of the password, and holds the box; in it lies the private key in PKCS #8. Real cosign 2 and 3 sign
with these (tests/integration/cosign).
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from nacl.secret import SecretBox

_LABEL: Final = "ENCRYPTED SIGSTORE PRIVATE KEY"
_N, _R, _P = 65536, 8, 1
"""What cosign 2 and 3 write, and the only cost besides 32768 that they read."""
_MEMORY: Final = 2 * 128 * _N * _R
_LINE: Final = 64


@dataclass(frozen=True, slots=True)
class SigningKeyPair:
    """A private key, encrypted, with its password; and the public key as trust policies name it."""

    private_pem: str = field(repr=False)
    password: str = field(repr=False)
    public_pem: str


def create_key_pair() -> SigningKeyPair:
    """Make an ECDSA P-256 key, cosign's default kind, and a password for it."""
    private = ec.generate_private_key(ec.SECP256R1())
    password = secrets.token_urlsafe(32)
    document = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return SigningKeyPair(_pem(_encrypt(document, password)), password, public.decode())


def _encrypt(document: bytes, password: str) -> bytes:
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(SecretBox.NONCE_SIZE)
    key = hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, maxmem=_MEMORY, dklen=SecretBox.KEY_SIZE)
    told = {
        "kdf": {"name": "scrypt", "params": {"N": _N, "r": _R, "p": _P}, "salt": _base64(salt)},
        "cipher": {"name": "nacl/secretbox", "nonce": _base64(nonce)},
        "ciphertext": _base64(SecretBox(key).encrypt(document, nonce).ciphertext),
    }
    return json.dumps(told, separators=(",", ":")).encode()


def _pem(content: bytes) -> str:
    text = _base64(content)
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return "\n".join([f"-----BEGIN {_LABEL}-----", *lines, f"-----END {_LABEL}-----", ""])


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
