"""Secrets as they lie in the catalog: Fernet, several keys (the first encrypts, all decrypt)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bootpress.core.errors import CatalogUnavailable


class SecretCipher:
    """Encrypt and decrypt short texts."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = tuple(keys)
        self._fernets = [Fernet(key) for key in keys]
        self._marking = [hashlib.sha256(b"bootpress mark" + key.encode()).digest() for key in keys]

    def encrypt(self, text: str) -> bytes:
        """Encrypt with the first key."""
        return self._fernets[0].encrypt(text.encode())

    def decrypt(self, sealed: bytes) -> str:
        """Decrypt with whichever key fits; CatalogUnavailable when none does, since the key may come back.

        All are tried, so that it takes the same time whichever fits.
        """
        found = [text for fernet in self._fernets if (text := _decrypted(fernet, sealed)) is not None]
        if not found:
            raise CatalogUnavailable(
                "a secret in the catalog cannot be decrypted with the keys of this installation",
                hint="add the key it was encrypted with to BOOTPRESS_ENCRYPTION_KEY",
            )
        return found[0].decode()

    def fingerprints(self, content: bytes) -> list[bytes]:
        """Return what tells this content from another, and to whoever lacks our keys nothing: one mark for each key.

        The first is to be kept; one that was kept under an older key is among the others.
        """
        return [hmac.digest(key, content, "sha256") for key in self._marking]

    def derive(self, purpose: bytes) -> list[bytes]:
        """Return 32 bytes for a purpose out of each key, the first key's first (HKDF, RFC 5869)."""
        return [_derived(key, purpose) for key in self._keys]


def _derived(key: str, purpose: bytes) -> bytes:
    return HKDF(hashes.SHA256(), length=32, salt=None, info=purpose).derive(base64.urlsafe_b64decode(key))


def _decrypted(fernet: Fernet, sealed: bytes) -> bytes | None:
    try:
        return fernet.decrypt(sealed)
    except InvalidToken:
        return None
