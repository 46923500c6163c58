"""The little DER (X.690), PEM and base64 that the tests' own services write, honest or not."""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def base64_text(raw: bytes) -> str:
    """Write bytes as standard base64."""
    return base64.b64encode(raw).decode()


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the DER SubjectPublicKeyInfo of a key's public half."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def make_key() -> ec.EllipticCurvePrivateKey:
    """Make a key as the services use them."""
    return ec.generate_private_key(ec.SECP256R1())


def tagged(tag: int, *parts: bytes) -> bytes:
    """Write one DER element with this tag around its parts."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    raw = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(raw)]) + raw + content


def sequence(*parts: bytes) -> bytes:
    """Write a SEQUENCE."""
    return tagged(0x30, *parts)


def set_of(*parts: bytes) -> bytes:
    """Write a SET OF; DER wants its elements in order."""
    return tagged(0x31, *sorted(parts))


def integer(value: int) -> bytes:
    """Write a non-negative INTEGER."""
    return tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octets(raw: bytes) -> bytes:
    """Write an OCTET STRING."""
    return tagged(0x04, raw)


def utf8_string(text: str) -> bytes:
    """Write a UTF8String."""
    return tagged(0x0C, text.encode())


def oid(dotted: str) -> bytes:
    """Write an OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return tagged(0x06, *(_arc(number) for number in (first * 40 + second, *rest)))


def key_usage(*, sign: bool = True, sign_certificates: bool = False) -> x509.KeyUsage:
    """Return a key usage."""
    rest = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    return x509.KeyUsage(
        digital_signature=sign, key_cert_sign=sign_certificates, encipher_only=False, decipher_only=False, **rest
    )


def _arc(number: int) -> bytes:
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(0x80 | number & 0x7F)
    return bytes(reversed(digits))
