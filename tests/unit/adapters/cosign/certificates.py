"""Certificates that no honest authority would issue, for the rules about what is written in them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

IDENTITY = "https://gitea.example/os/images/.gitea/workflows/build-disk-image.yml@refs/heads/main"
ISSUER = "https://gitea.example"
KEY = ec.generate_private_key(ec.SECP256R1())
RAW = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
DER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
OTHER_NAME: x509.GeneralName = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), b"\x0c\x04mail")


def der_string(text: str) -> bytes:
    """Write a UTF8String of fewer than 128 bytes."""
    raw = text.encode()
    return bytes([0x0C, len(raw)]) + raw


def key_usage(*, sign: bool = True, sign_certificates: bool = False) -> x509.KeyUsage:
    """Return a key usage."""
    rest = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign"), False
    )
    return x509.KeyUsage(
        digital_signature=sign, key_cert_sign=sign_certificates, encipher_only=False, decipher_only=False, **rest
    )


def certificate(
    *,
    names: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier(IDENTITY),),
    issuer_raw: bytes | None = ISSUER.encode(),
    issuer_der: bytes | None = der_string(ISSUER),
    usage: x509.KeyUsage | None = None,
    purpose: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CODE_SIGNING,
    ca: bool | None = None,
) -> x509.Certificate:
    """Issue a leaf that is as Fulcio's but for what is asked for."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(_NOW)
        .not_valid_after(_NOW + timedelta(minutes=10))
        .add_extension(usage or key_usage(), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    if purpose:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    for oid, value in ((RAW, issuer_raw), (DER, issuer_der)):
        if value is not None:
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(KEY, hashes.SHA256())
