"""The shape of a Sigstore bundle (protobuf-specs, sigstore_bundle.proto, as JSON), as far as cosign uses it.

Only member names as protobuf's JSON mapping writes them are accepted: a reader that also took others could see
another envelope than the one that sigstore's verifier sees.
"""

from __future__ import annotations

from pydantic import Field

from bootpress.adapters.cosign import parsing, signed_payloads
from bootpress.core.errors import SignatureRejected

BUNDLE_V03 = "application/vnd.dev.sigstore.bundle.v0.3+json"
_MEDIA_TYPES = frozenset({BUNDLE_V03, "application/vnd.dev.sigstore.bundle+json;version=0.3"})
"""Two spellings of version 0.3; cosign never wrote an image signature as an older one."""


class _Signature(parsing.StrictModel):
    sig: str
    keyid: str | None = None
    """A hint that nobody signed; not looked at."""


class _Envelope(parsing.StrictModel):
    payload: str
    payload_type: str = Field(alias="payloadType")
    signatures: list[_Signature]


class _LogId(parsing.StrictModel):
    key_id: parsing.Base64 = Field(alias="keyId")


class _KindVersion(parsing.StrictModel):
    kind: str
    version: str


class _Promise(parsing.StrictModel):
    signed_entry_timestamp: parsing.Base64 = Field(alias="signedEntryTimestamp")


class _Checkpoint(parsing.StrictModel):
    envelope: str


class _Proof(parsing.StrictModel):
    log_index: parsing.Int64 | None = Field(None, alias="logIndex")
    root_hash: parsing.Base64 = Field(alias="rootHash")
    tree_size: parsing.Int64 = Field(alias="treeSize")
    hashes: list[parsing.Base64] | None = None
    checkpoint: _Checkpoint | None = None


class _LogEntry(parsing.StrictModel):
    log_index: parsing.Int64 | None = Field(None, alias="logIndex")
    log_id: _LogId = Field(alias="logId")
    kind_version: _KindVersion = Field(alias="kindVersion")
    integrated_time: parsing.Int64 | None = Field(None, alias="integratedTime")
    inclusion_promise: _Promise | None = Field(None, alias="inclusionPromise")
    inclusion_proof: _Proof | None = Field(None, alias="inclusionProof")
    canonicalized_body: parsing.Base64 | None = Field(None, alias="canonicalizedBody")


class _Stamp(parsing.StrictModel):
    signed_timestamp: parsing.Base64 = Field(alias="signedTimestamp")


class _Stamps(parsing.StrictModel):
    rfc3161_timestamps: list[_Stamp] = Field(default_factory=list, alias="rfc3161Timestamps")


class _PublicKey(parsing.StrictModel):
    hint: str | None = None


class _Certificate(parsing.StrictModel):
    raw_bytes: parsing.Base64 = Field(alias="rawBytes")


class _Chain(parsing.StrictModel):
    certificates: list[_Certificate]


class _Material(parsing.StrictModel):
    public_key: _PublicKey | None = Field(None, alias="publicKey")
    certificate: _Certificate | None = None
    x509_certificate_chain: _Chain | None = Field(None, alias="x509CertificateChain")
    tlog_entries: list[_LogEntry] | None = Field(None, alias="tlogEntries")
    timestamp_verification_data: _Stamps | None = Field(None, alias="timestampVerificationData")


class _HashOutput(parsing.StrictModel):
    algorithm: str
    digest: parsing.Base64


class _MessageSignature(parsing.StrictModel):
    message_digest: _HashOutput | None = Field(None, alias="messageDigest")
    signature: parsing.Base64


class _Bundle(parsing.StrictModel):
    media_type: str = Field(alias="mediaType")
    material: _Material = Field(alias="verificationMaterial")
    dsse_envelope: _Envelope | None = Field(None, alias="dsseEnvelope")
    message_signature: _MessageSignature | None = Field(None, alias="messageSignature")


class Bundle:
    """A bundle that has the shape of an image signature by cosign 3 on one digest; nothing in it is proven yet."""

    format = "bundle-v3"
    docker_reference = None

    def __init__(self, raw: bytes, digest: str) -> None:
        document = parsing.read(_Bundle, raw, what="the bundle")
        if document.media_type not in _MEDIA_TYPES:
            raise SignatureRejected(f"the bundle has an unknown media type {parsing.quoted(document.media_type)}")
        self.raw = raw
        self.material = document.material
        self.payload, self.signature = _open_envelope(document)
        signed_payloads.check_statement(self.payload, digest)

    @property
    def has_certificate(self) -> bool:
        """Tell whether a certificate is to speak for the signature."""
        return self.material.certificate is not None or self.material.x509_certificate_chain is not None

    @property
    def has_key(self) -> bool:
        """Tell whether a bare public key is to speak for the signature."""
        return self.material.public_key is not None

    @property
    def signed_bytes(self) -> bytes:
        """Return what the signature is over: DSSE's pre-authentication encoding of the payload."""
        return encode_pae(signed_payloads.PAYLOAD_TYPE, self.payload)


def _open_envelope(document: _Bundle) -> tuple[bytes, bytes]:
    """Return payload and signature of the DSSE envelope.

    A message signature (what `cosign sign-blob` writes) may be over the same bytes, but says neither that it is
    meant as an image signature nor of what; cosign never writes one for an image.
    """
    envelope = document.dsse_envelope
    if envelope is None or document.message_signature is not None:
        raise SignatureRejected("the bundle holds no DSSE envelope, or not only one")
    if envelope.payload_type != signed_payloads.PAYLOAD_TYPE:
        raise SignatureRejected(
            f"the envelope has payload type {parsing.quoted(envelope.payload_type)},"
            f" not '{signed_payloads.PAYLOAD_TYPE}'"
        )
    if len(envelope.signatures) != 1:
        raise SignatureRejected(f"the envelope has {len(envelope.signatures)} signatures, not one")
    payload = parsing.decode_base64(envelope.payload, what="the envelope's payload")
    return payload, parsing.decode_base64(envelope.signatures[0].sig, what="the envelope's signature")


def encode_pae(payload_type: str, payload: bytes) -> bytes:
    """Return the pre-authentication encoding of a payload (DSSE 1.0, protocol.md)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
