"""A certificate authority, a certificate log and a transparency log of the tests' own, which issue whatever is asked.

Enough of Fulcio, CT (RFC 6962) and Rekor 1 for what their honest counterparts never would sign. One log entry per
tree: its root hash is the entry's leaf hash, and the inclusion proof is empty.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Json = dict[str, Any]
START = datetime(2025, 5, 1, tzinfo=UTC)
NOW = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
"""When they sign; long ago, since a root counts only once it has begun."""
IDENTITY = "https://forge.example/os/images/.gitea/workflows/build.yml@refs/heads/main"
ISSUER = "https://forge.example"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER_RAW = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_LOG_NAME = "log.test"


def _make_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate, and the key to sign with."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """Return the certificate as cosign 2 writes it."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def sign(self, message: bytes) -> bytes:
        """Sign as cosign does."""
        return self.key.sign(message, ec.ECDSA(hashes.SHA256()))


@dataclass(frozen=True, slots=True)
class Lies:
    """What a signature has that an honest one has not; the default is honest."""

    at: datetime = NOW
    """When the log says it took the signature in; the certificate is valid for ten minutes from NOW."""
    names: Sequence[x509.GeneralName] = (x509.UniformResourceIdentifier(IDENTITY),)
    issuer: str = ISSUER
    purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING
    is_authority: bool = False
    lifetime: timedelta = timedelta(minutes=10)
    scts: int = 1
    sct_at: datetime = NOW
    is_forged: bool = False
    """Whether another key than the certificate's signs."""
    change_entry: Callable[[Json], object] = field(default=lambda _entry: None)
    """Changes the logged body before the log signs it."""
    change_checkpoint: Callable[[str], str] = field(default=lambda text: text)
    """Changes the checkpoint before the log signs it."""


HONEST = Lies()


class Services:
    """One authority, one certificate log, one transparency log."""

    def __init__(self, name: str = "authority.test") -> None:
        self._authority_key, self.ct_key, self.log_key = _make_key(), _make_key(), _make_key()
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.authority = self._make_authority()

    def trusted_root(self) -> Json:
        """Return the trusted root that names these services, in use from START on."""
        period = {"start": START.isoformat()}
        certificate = {"rawBytes": _base64(self.authority.public_bytes(Encoding.DER))}
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_describe_log(self.log_key, period)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "test", "commonName": "test"},
                    "uri": "http://127.0.0.1/authority",
                    "certChain": {"certificates": [certificate]},
                    "validFor": period,
                }
            ],
            "ctlogs": [_describe_log(self.ct_key, period)],
            "timestampAuthorities": [],
        }

    def issue(self, lies: Lies = HONEST) -> Leaf:
        """Issue a certificate for a fresh key."""
        key = _make_key()
        builder = self._build_leaf(key, lies)
        precertificate = builder.sign(self._authority_key, hashes.SHA256())
        if lies.scts:
            sct = self._make_sct(precertificate, lies.sct_at)
            entries = struct.pack("!H", len(sct)) + sct
            listed = struct.pack("!H", len(entries) * lies.scts) + entries * lies.scts
            wrapped = b"\x04" + _der_length(len(listed)) + listed
            builder = builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, wrapped), critical=False)
        certificate = builder.sign(self._authority_key, hashes.SHA256())
        return Leaf(_make_key() if lies.is_forged else key, certificate)

    def make_bundle(self, digest: str, lies: Lies = HONEST) -> Json:
        """Sign an image as cosign 3 does, logged by Rekor 1."""
        leaf = self.issue(lies)
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
        }
        payload = json.dumps(statement).encode()
        encoding = b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
        signature = _base64(leaf.sign(encoding))
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": "0" * 64},
                "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
                "signatures": [{"signature": signature, "verifier": _base64(leaf.pem.encode())}],
            },
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": _base64(leaf.certificate.public_bytes(Encoding.DER))},
                "tlogEntries": [self._log(body, lies)],
            },
            "dsseEnvelope": {
                "payload": _base64(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": signature}],
            },
        }

    def make_legacy(self, digest: str, lies: Lies = HONEST) -> tuple[bytes, dict[str, str]]:
        """Sign an image as cosign 2 does; return the payload and its layer's annotations."""
        leaf = self.issue(lies)
        critical = {
            "identity": {"docker-reference": "registry.example/os/images"},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        }
        payload = json.dumps({"critical": critical, "optional": None}).encode()
        signature = _base64(leaf.sign(payload))
        body = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
                "signature": {"content": signature, "publicKey": {"content": _base64(leaf.pem.encode())}},
            },
        }
        lies.change_entry(body)
        entry = self._promise(_base64(json.dumps(body).encode()), lies.at)
        return payload, {
            "dev.cosignproject.cosign/signature": signature,
            "dev.sigstore.cosign/certificate": leaf.pem,
            "dev.sigstore.cosign/bundle": json.dumps(entry),
        }

    def _make_authority(self) -> x509.Certificate:
        key = self._authority_key.public_key()
        usage = _key_usage(sign=False, sign_certificates=True)
        return (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(1)
            .not_valid_before(START)
            .not_valid_after(START + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .sign(self._authority_key, hashes.SHA256())
        )

    def _build_leaf(self, key: ec.EllipticCurvePrivateKey, lies: Lies) -> x509.CertificateBuilder:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW)
            .not_valid_after(NOW + lies.lifetime)
            .add_extension(_key_usage(sign=True, sign_certificates=lies.is_authority), critical=True)
            .add_extension(x509.ExtendedKeyUsage([lies.purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._authority_key.public_key()), critical=False
            )
            .add_extension(x509.UnrecognizedExtension(_ISSUER_RAW, lies.issuer.encode()), critical=False)
        )
        if lies.names:
            builder = builder.add_extension(x509.SubjectAlternativeName(lies.names), critical=True)
        if lies.is_authority:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        return builder

    def _make_sct(self, precertificate: x509.Certificate, at: datetime) -> bytes:
        """Sign that a certificate was logged (RFC 6962, section 3.2, for a precertificate)."""
        stamp = int(at.timestamp() * 1000)
        issuer = hashlib.sha256(_spki(self._authority_key)).digest()
        tbs = precertificate.tbs_certificate_bytes
        signed = struct.pack("!BBQH", 0, 0, stamp, 1) + issuer + len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
        signature = self.ct_key.sign(signed, ec.ECDSA(hashes.SHA256()))
        log_id = hashlib.sha256(_spki(self.ct_key)).digest()
        ecdsa_with_sha256 = b"\x04\x03"
        head = struct.pack("!B32sQH", 0, log_id, stamp, 0)
        return head + ecdsa_with_sha256 + struct.pack("!H", len(signature)) + signature

    def _log(self, body: Json, lies: Lies) -> Json:
        lies.change_entry(body)
        raw = json.dumps(body).encode()
        leaf_hash = _base64(hashlib.sha256(b"\0" + raw).digest())
        note = lies.change_checkpoint(f"{_LOG_NAME}\n1\n{leaf_hash}\n")
        key_id = hashlib.sha256(_spki(self.log_key)).digest()
        signature = _base64(key_id[:4] + self.log_key.sign(note.encode(), ec.ECDSA(hashes.SHA256())))
        promise = self._promise(_base64(raw), lies.at)
        return {
            "logIndex": "0",
            "logId": {"keyId": _base64(key_id)},
            "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
            "integratedTime": str(int(lies.at.timestamp())),
            "inclusionPromise": {"signedEntryTimestamp": promise["SignedEntryTimestamp"]},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": leaf_hash,
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\N{EM DASH} {_LOG_NAME} {signature}\n"},
            },
            "canonicalizedBody": _base64(raw),
        }

    def _promise(self, body: str, at: datetime) -> Json:
        payload = {
            "body": body,
            "integratedTime": int(at.timestamp()),
            "logID": hashlib.sha256(_spki(self.log_key)).hexdigest(),
            "logIndex": 0,
        }
        signed = json.dumps(payload, separators=(",", ":")).encode()
        signature = self.log_key.sign(signed, ec.ECDSA(hashes.SHA256()))
        return {"SignedEntryTimestamp": _base64(signature), "Payload": payload}


def _describe_log(key: ec.EllipticCurvePrivateKey, period: Json) -> Json:
    spki = _spki(key)
    return {
        "baseUrl": "http://127.0.0.1/log",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": _base64(spki), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": period},
        "logId": {"keyId": _base64(hashlib.sha256(spki).digest())},
    }


def _key_usage(*, sign: bool, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        key_cert_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _der_length(length: int) -> bytes:
    if length < 0x80:
        return bytes([length])
    raw = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(raw)]) + raw


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
