"""The HMAC of a delivery: three spellings, and everything else is a mismatch."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bootpress.core.webhooks.hmac_signature import HEADERS, decode, signature_header, verify

RAW = bytes(range(32))


def spell(raw: bytes) -> dict[str, str]:
    return {
        "base64": base64.b64encode(raw).decode(),
        "hex": raw.hex(),
        "upper hex": raw.hex().upper(),
        "prefixed": f"sha256={raw.hex()}",
        "prefixed in upper case": f"SHA256={raw.hex().upper()}",
        "with space around": f"  {raw.hex()}\t",
    }


@given(st.binary(min_size=32, max_size=32))
def test_every_spelling_of_32_bytes_is_read(raw: bytes) -> None:
    for name, text in spell(raw).items():
        assert decode(text) == raw, name


def test_hex_is_never_taken_for_base64() -> None:
    # 64 hex digits are valid base64 too, of 48 bytes.
    assert len(base64.b64decode(RAW.hex())) == 48
    assert decode(RAW.hex()) == RAW


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        " ",
        "sha256=",
        "sha1=" + RAW.hex(),
        "sha256:" + RAW.hex(),
        "sha256=sha256=" + RAW.hex(),
        "sha256=" + base64.b64encode(RAW).decode(),
        RAW.hex()[:-1],
        RAW.hex()[:-2],
        RAW.hex() + "00",
        "zz" * 32,
        "é" * 64,
        "\N{ARABIC-INDIC DIGIT ZERO}" * 64,
        base64.b64encode(RAW).decode()[:-1],
        base64.b64encode(RAW).decode() + "=",
        base64.b64encode(RAW[:31]).decode(),
        base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        base64.b64encode(RAW).decode().replace("A", " A"),
        "A" * 101,
        "A" * 100_000,
    ],
)
def test_anything_else_is_no_signature(text: str | None) -> None:
    assert decode(text) is None
    assert not verify(b"body", text, ["secret"])


@given(st.text(max_size=110))
def test_any_text_is_32_bytes_or_none(text: str) -> None:
    found = decode(text)
    assert found is None or len(found) == 32


@given(st.binary(max_size=200), st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=50))
def test_a_signature_holds_under_its_secret_and_no_other(body: bytes, secret: str, other: str) -> None:
    assume(secret.rstrip("\0") != other.rstrip("\0"))  # HMAC pads its key with zeros (RFC 2104)
    digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    for text in spell(digest).values():
        assert verify(body, text, [secret])
        assert verify(body, text, [other, secret])
        assert verify(body, text, [secret, other])
        assert not verify(body, text, [other])
        assert not verify(body + b" ", text, [secret])
        assert not verify(body, text, [])


@given(st.integers(0, 255))
def test_one_wrong_bit_is_a_mismatch(bit: int) -> None:
    digest = int.from_bytes(hmac.digest(b"secret", b"body", "sha256"))
    assert not verify(b"body", (digest ^ (1 << bit)).to_bytes(32).hex(), ["secret"])


def test_a_missing_signature_is_not_that_of_zeros() -> None:
    assert not verify(b"body", None, ["secret"])
    assert not verify(b"body", "00" * 32, ["secret"])


def test_the_first_header_that_is_present_counts() -> None:
    assert HEADERS == ("x-powernode-signature", "x-hub-signature-256", "x-gitea-signature")
    values = {name: name for name in reversed(HEADERS)}
    for name in HEADERS:
        assert signature_header(values) == name
        del values[name]
    assert signature_header(values) is None
    assert signature_header({"x-powernode-signature": "", "x-gitea-signature": "a"}) == ""
