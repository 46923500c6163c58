"""Secrets as they lie in the catalog: Fernet, several keys (the first encrypts, all decrypt)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bootpress.core.errors import CatalogUnavailable


class SecretBox:
    """Encrypt and decrypt short texts."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def seal(self, text: str) -> bytes:
        """Encrypt with the first key."""
        return self._fernet.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """Decrypt with whichever key fits; CatalogUnavailable when none does, since the key may come back."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken as error:
            raise CatalogUnavailable(
                "a secret in the catalog cannot be decrypted with the keys of this installation",
                hint="add the key it was encrypted with to BOOTPRESS_ENCRYPTION_KEY",
            ) from error
