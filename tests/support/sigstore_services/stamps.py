"""A timestamp authority (RFC 3161) that stamps whatever it is asked to, whenever it is told it is."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.sigstore_services.encoding import (
    base64_text,
    integer,
    key_usage,
    make_key,
    octets,
    oid,
    sequence,
    set_of,
    tagged,
)

_BORN = datetime(2025, 5, 1, tzinfo=UTC)
_SIGNED_DATA, _TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
_POLICY = "1.3.6.1.4.1.57264.2"
_SHA256, _SHA1 = "2.16.840.1.101.3.4.2.1", "1.3.14.3.2.26"
_ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2"
GRANTED, REJECTION = 0, 2


class StampAuthority:
    """A root certificate, and a certificate below it that stamps."""

    def __init__(
        self, name: str = "stamps.test", *, purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.TIME_STAMPING
    ) -> None:
        self._root_key, self._key = make_key(), make_key()
        self._root = _issue(f"{name} root", self._root_key, f"{name} root", self._root_key, None)
        self._certificate = _issue(name, self._key, f"{name} root", self._root_key, purpose)
        self._count = 0

    def describe(self, period: dict[str, Any]) -> dict[str, Any]:
        """Return this authority's entry in a trusted root."""
        chain = [{"rawBytes": base64_text(one.public_bytes(Encoding.DER))} for one in (self._certificate, self._root)]
        return {
            "subject": {"organization": "test", "commonName": "test"},
            "uri": "http://127.0.0.1/stamps",
            "certChain": {"certificates": chain},
            "validFor": period,
        }

    def stamp(
        self,
        message: bytes,
        at: datetime,
        *,
        status: int = GRANTED,
        signer: ec.EllipticCurvePrivateKey | None = None,
        weak: bool = False,
        padding: bytes = b"",
    ) -> bytes:
        """Return the DER TimeStampResp (RFC 3161, section 2.4.2) that says a message was there at a moment.

        `signer` signs in this authority's name; `weak` imprints SHA-1; `padding` goes into the certificates.
        """
        self._count += 1
        info = self._info(message, at, weak=weak)
        attributes = [
            _attribute(_CONTENT_TYPE, oid(_TST_INFO)),
            _attribute(_MESSAGE_DIGEST, octets(hashlib.sha256(info).digest())),
            _attribute(_SIGNING_CERTIFICATE_V2, sequence(sequence(sequence(octets(self._fingerprint()))))),
        ]
        signature = (signer or self._key).sign(set_of(*attributes), ec.ECDSA(hashes.SHA256()))
        signer_info = sequence(
            integer(1),
            sequence(self._certificate.issuer.public_bytes(), integer(self._certificate.serial_number)),
            sequence(oid(_SHA256)),
            tagged(0xA0, *sorted(attributes)),
            sequence(oid(_ECDSA_WITH_SHA256)),
            octets(signature),
        )
        signed_data = sequence(
            integer(3),
            set_of(sequence(oid(_SHA256))),
            sequence(oid(_TST_INFO), tagged(0xA0, octets(info))),
            tagged(0xA0, self._certificate.public_bytes(Encoding.DER), padding),
            set_of(signer_info),
        )
        token = sequence(oid(_SIGNED_DATA), tagged(0xA0, signed_data))
        return sequence(sequence(integer(status)), token)

    def _info(self, message: bytes, at: datetime, *, weak: bool) -> bytes:
        digest = hashlib.sha1(message, usedforsecurity=False).digest() if weak else hashlib.sha256(message).digest()
        algorithm = sequence(oid(_SHA1 if weak else _SHA256))
        return sequence(
            integer(1),
            oid(_POLICY),
            sequence(algorithm, octets(digest)),
            integer(self._count),
            tagged(0x18, at.strftime("%Y%m%d%H%M%SZ").encode()),
        )

    def _fingerprint(self) -> bytes:
        return hashlib.sha256(self._certificate.public_bytes(Encoding.DER)).digest()


def _attribute(kind: str, value: bytes) -> bytes:
    return sequence(oid(kind), set_of(value))


def _issue(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    purpose: x509.ObjectIdentifier | None,
) -> x509.Certificate:
    """Issue an authority's certificate, or with a purpose a signer's."""
    is_root = purpose is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BORN)
        .not_valid_after(_BORN + timedelta(days=3650))
        .add_extension(key_usage(sign=not is_root, sign_certificates=is_root), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if purpose is None:
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    else:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
    return builder.sign(issuer_key, hashes.SHA256())
