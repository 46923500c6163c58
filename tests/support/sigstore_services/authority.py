"""A certificate authority with its certificate log (RFC 6962): enough of Fulcio and CT for what neither would sign."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.support.sigstore_services.encoding import base64_text, key_usage, make_key, octets, spki
from tests.support.sigstore_services.lies import HONEST, NOW, START, Lies, PrivateKey

_LEAF = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a leaf")])
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER_RAW = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_DER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate, and the key to sign with."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """Return the certificate as cosign 2 writes it."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def der(self) -> str:
        """Return the certificate as cosign 3 writes it."""
        return base64_text(self.certificate.public_bytes(Encoding.DER))

    def sign(self, message: bytes) -> bytes:
        """Sign as cosign does."""
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(message, ec.ECDSA(hashes.SHA256()))
        return self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())


class Authority:
    """A root that issues leaves, each with a promise of the certificate log."""

    def __init__(self, name: str = "authority.test") -> None:
        self._key, self.ct_key = make_key(), make_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._make_root()

    def describe(self, period: dict[str, Any]) -> dict[str, Any]:
        """Return this authority's entry in a trusted root."""
        certificate = {"rawBytes": base64_text(self.certificate.public_bytes(Encoding.DER))}
        return {
            "subject": {"organization": "test", "commonName": "test"},
            "uri": "http://127.0.0.1/authority",
            "certChain": {"certificates": [certificate]},
            "validFor": period,
        }

    def issue(self, lies: Lies = HONEST) -> Leaf:
        """Issue a certificate for a fresh key."""
        key, issuer = lies.make_key(), self._key
        builder = self._build_leaf(key, lies)
        if lies.issued_by_leaf:
            issuer = make_key()
        if lies.scts:
            logged = self._build_leaf(key, lies) if lies.sct_of_another else builder  # of another serial number
            sct = self._make_sct(logged.sign(issuer, hashes.SHA256()), lies.sct_at)
            entries = (struct.pack("!H", len(sct)) + sct) * lies.scts
            listed = octets(struct.pack("!H", len(entries)) + entries)
            builder = builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, listed), critical=False)
        certificate = builder.sign(issuer, hashes.SHA256())
        return Leaf(lies.make_key() if lies.is_forged else key, certificate)

    def _make_root(self) -> x509.Certificate:
        key = self._key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(1)
            .not_valid_before(START)
            .not_valid_after(START + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(key_usage(sign=False, sign_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _build_leaf(self, key: PrivateKey, lies: Lies) -> x509.CertificateBuilder:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(_LEAF if lies.issued_by_leaf else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW)
            .not_valid_after(NOW + lies.lifetime)
            .add_extension(lies.usage or key_usage(), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if lies.names:
            builder = builder.add_extension(x509.SubjectAlternativeName(lies.names), critical=True)
        if lies.purpose:
            builder = builder.add_extension(x509.ExtendedKeyUsage([lies.purpose]), critical=False)
        if lies.is_authority is not None:
            constraints = x509.BasicConstraints(ca=lies.is_authority, path_length=None)
            builder = builder.add_extension(constraints, critical=True)
        for kind, value in ((_ISSUER_RAW, lies.issuer_raw), (_ISSUER_DER, lies.issuer_der)):
            if value is not None:
                builder = builder.add_extension(x509.UnrecognizedExtension(kind, value), critical=False)
        return builder

    def _make_sct(self, precertificate: x509.Certificate, at: datetime) -> bytes:
        """Sign that a certificate was logged (RFC 6962, section 3.2, for a precertificate)."""
        stamp = int(at.timestamp() * 1000)
        issuer = hashlib.sha256(spki(self._key)).digest()
        tbs = precertificate.tbs_certificate_bytes
        signed = struct.pack("!BBQH", 0, 0, stamp, 1) + issuer + len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
        signature = self.ct_key.sign(signed, ec.ECDSA(hashes.SHA256()))
        log_id = hashlib.sha256(spki(self.ct_key)).digest()
        ecdsa_with_sha256 = b"\x04\x03"
        head = struct.pack("!B32sQH", 0, log_id, stamp, 0)
        return head + ecdsa_with_sha256 + struct.pack("!H", len(signature)) + signature
