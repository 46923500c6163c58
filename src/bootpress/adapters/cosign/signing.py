"""Sign a digest with a key as cosign 3 does (`cosign sign --key`, without a log): for the demo, which needs no cosign.

Pure: what comes out are bytes, to be pushed by whoever holds a registry. Real cosign verifies them
(tests/integration/cosign).
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bootpress.adapters.cosign import signed_payloads
from bootpress.adapters.cosign.bundles import BUNDLE_V03, encode_pae
from bootpress.core.ports import Descriptor
from bootpress.core.references import digest_hex

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True, slots=True)
class SignatureReferrer:
    """A signature as a referrer of what it signs: push the blobs, then the manifest by its digest."""

    blobs: tuple[bytes, ...]
    manifest: bytes
    media_type: str = MANIFEST_TYPE


@dataclass(frozen=True, slots=True)
class SigningKey:
    """An ECDSA P-256 key, cosign's default kind; it is never in a repr and never written down."""

    _private: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def create(cls) -> SigningKey:
        """Make a fresh key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_pem(self) -> str:
        """Return the public key as a trust policy names it."""
        return self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, subject: Descriptor, *, created: datetime) -> SignatureReferrer:
        """Sign a manifest's digest; `created` is what the annotation says, and proves nothing."""
        bundle = _encode(self._make_bundle(subject.digest))
        empty = b"{}"
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _describe(_EMPTY_TYPE, empty) | {"artifactType": BUNDLE_V03},
            "layers": [_describe(BUNDLE_V03, bundle)],
            "annotations": {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": signed_payloads.SIGN_PREDICATE,
                "org.opencontainers.image.created": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "subject": {"mediaType": subject.media_type, "size": subject.size, "digest": subject.digest},
            "artifactType": BUNDLE_V03,
        }
        return SignatureReferrer((empty, bundle), _encode(manifest))

    def _make_bundle(self, digest: str) -> dict[str, Any]:
        statement = {
            "_type": signed_payloads.STATEMENT_TYPE,
            "subject": [{"digest": {"sha256": digest_hex(digest)}, "annotations": {}}],
            "predicateType": signed_payloads.SIGN_PREDICATE,
            "predicate": {},
        }
        payload = _encode(statement)
        signature = self._private.sign(encode_pae(signed_payloads.PAYLOAD_TYPE, payload), ec.ECDSA(hashes.SHA256()))
        der = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {
            "mediaType": BUNDLE_V03,
            "verificationMaterial": {"publicKey": {"hint": _base64(hashlib.sha256(der).digest())}},
            "dsseEnvelope": {
                "payload": _base64(payload),
                "payloadType": signed_payloads.PAYLOAD_TYPE,
                "signatures": [{"sig": _base64(signature)}],
            },
        }


def _describe(media_type: str, content: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "size": len(content), "digest": digest}


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
