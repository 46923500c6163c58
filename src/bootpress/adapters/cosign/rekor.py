"""The log entry that cosign 2 attaches to a signature: Rekor's promise, and the hashedrekord it promises to include.

Source: cosign 2, pkg/cosign/bundle (RekorBundle); rekor, pkg/types/hashedrekord/v0.0.1. Integers are integers: what
is signed is the entry written out anew, so a reader that took strings for them would accept what cosign refuses.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated

from cryptography.x509 import Certificate, InvalidVersion, load_pem_x509_certificates
from pydantic import Field

from bootpress.adapters.cosign import parsing
from bootpress.core.errors import SignatureRejected

_LAST_EXACT = 2**53 - 1
"""What the log signed has its numbers as RFC 8785 writes them, as floats: beyond this, several are one."""
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, after which Python has no dates."""


class _Payload(parsing.StrictModel):
    body: str
    integrated_time: Annotated[int, Field(alias="integratedTime", ge=1, le=_LAST_SECOND)]
    log_index: Annotated[int, Field(alias="logIndex", ge=0, le=_LAST_EXACT)]
    log_id: Annotated[str, Field(alias="logID", pattern=r"\A[0-9a-f]{64}\z")]


class _RekorBundle(parsing.StrictModel):
    promise: str = Field(alias="SignedEntryTimestamp")
    payload: _Payload = Field(alias="Payload")


class _Hash(parsing.StrictModel):
    algorithm: str
    value: str


class _Data(parsing.StrictModel):
    hash: _Hash


class _Verifier(parsing.StrictModel):
    content: str


class _Signature(parsing.StrictModel):
    content: str
    public_key: _Verifier = Field(alias="publicKey")


class _Spec(parsing.StrictModel):
    data: _Data
    signature: _Signature


class _HashedRekord(parsing.StrictModel):
    api_version: str = Field(alias="apiVersion")
    kind: str
    spec: _Spec


class LogEntry:
    """A promised log entry that has the right shape; nothing in it is proven yet."""

    def __init__(self, annotation: str) -> None:
        document = parsing.read(_RekorBundle, annotation.encode(errors="replace"), what="the log entry")
        self._payload = document.payload
        self.promise = parsing.decode_base64(document.promise, what="the signed entry timestamp")
        self.log_id = bytes.fromhex(self._payload.log_id)
        self.integrated_at = datetime.fromtimestamp(self._payload.integrated_time, UTC)
        body = parsing.decode_base64(self._payload.body, what="the log entry's body")
        self._body = parsing.read(_HashedRekord, body, what="the log entry's body")

    @property
    def promised_bytes(self) -> bytes:
        """Return what the log signed: the entry as canonical JSON (RFC 8785; its values are plain ASCII)."""
        members = {
            "body": self._payload.body,
            "integratedTime": self._payload.integrated_time,
            "logID": self._payload.log_id,
            "logIndex": self._payload.log_index,
        }
        return json.dumps(members, separators=(",", ":")).encode()

    def check_subject(self, *, payload: bytes, signature: bytes, certificate: Certificate) -> None:
        """Make sure that the entry is of exactly this payload, signature and certificate."""
        spec = self._body.spec
        if (self._body.kind, self._body.api_version) != ("hashedrekord", "0.0.1"):
            raise SignatureRejected("the log entry is not a hashedrekord 0.0.1")
        logged_hash = (spec.data.hash.algorithm, spec.data.hash.value)
        if logged_hash != ("sha256", hashlib.sha256(payload).hexdigest()):
            raise SignatureRejected("the log entry is of another payload")
        if parsing.decode_base64(spec.signature.content, what="the logged signature") != signature:
            raise SignatureRejected("the log entry is of another signature")
        logged = parsing.decode_base64(spec.signature.public_key.content, what="the logged certificate")
        if read_certificate(logged) != certificate:
            raise SignatureRejected("the log entry is of another certificate")


def read_certificate(pem: bytes) -> Certificate:
    """Read exactly one PEM certificate."""
    if parsing.find_pem_labels(pem.decode(errors="replace")) != ["CERTIFICATE"]:
        raise SignatureRejected("it carries something other than one PEM certificate")
    try:
        return load_pem_x509_certificates(pem)[0]
    except (ValueError, InvalidVersion) as error:
        raise SignatureRejected("its certificate cannot be read") from error
