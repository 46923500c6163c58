"""Whether a delivery's signature is its webhook's: pure (docs/reference/contract.md#webhook)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

HEADERS = ("x-powernode-signature", "x-hub-signature-256", "x-gitea-signature")
"""The first of these that is present counts."""

_DIGEST_BYTES = hashlib.sha256().digest_size
_LONGEST = 100


def signature_header(headers: Mapping[str, str]) -> str | None:
    """Return the value of the first signature header that is present, from lower-case header names."""
    return next((headers[name] for name in HEADERS if name in headers), None)


def decode(value: str | None) -> bytes | None:
    """Read base64, `sha256=<hex>` or bare hex into 32 bytes; None for anything else."""
    if value is None or len(value) > _LONGEST:
        return None
    text = value.strip()
    text, is_hex = (text[7:], True) if text.lower().startswith("sha256=") else (text, len(text) == 2 * _DIGEST_BYTES)
    try:
        raw = bytes.fromhex(text) if is_hex else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return raw if len(raw) == _DIGEST_BYTES else None


def verify(body: bytes, value: str | None, secrets: Sequence[str]) -> bool:
    """Tell whether `value` is the HMAC-SHA256 of `body` under one of `secrets` (their UTF-8 text is the key).

    Every secret is tried, and a missing or malformed value is compared too, so that time tells nothing.
    """
    given = decode(value)
    held = False
    for secret in secrets:
        expected = hmac.digest(secret.encode(), body, "sha256")
        held |= hmac.compare_digest(expected, given if given is not None else bytes(_DIGEST_BYTES))
    return held and given is not None
