"""What cosign 2 attaches to an image by tag (`sha256-<hex>.sig`, `.att`, `.sbom`), and what is about that image alone.

A tag points wherever its writer wants: to the signature of another image, to an image. What may be deleted together
with an image is told by what it holds.
"""

from __future__ import annotations

import logging
from typing import Any

from pydantic import Field

from bootpress.adapters.cosign import parsing, signed_payloads
from bootpress.adapters.cosign.signature_locations import MAX_CANDIDATES, SIMPLE_SIGNING
from bootpress.core import strict_json
from bootpress.core.documents import Document
from bootpress.core.errors import Rejected, SignatureRejected
from bootpress.core.ports import Attachment, Descriptor, Registry
from bootpress.core.references import Repository, digest_hex

SUFFIXES = (".sig", ".att", ".sbom")
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
SBOMS = frozenset(
    {
        "text/spdx",
        "text/spdx+json",
        "application/spdx+json",
        "application/vnd.cyclonedx+json",
        "application/vnd.cyclonedx+xml",
        "application/vnd.syft+json",
    }
)
"""What `cosign attach sbom` writes; an SBOM does not say of which image it is."""
MAX_PAYLOAD = 16 << 20
"""Bytes of one attestation that are read: a predicate may hold a whole SBOM."""
MAX_MARKS = MAX_PAYLOAD // 12
"""Brackets, commas and colons of its statement: SPDX has one in 11 to 15 bytes, and three bytes take four in base64. A
statement of nothing else takes 90 MB to read (measured)."""

_log = logging.getLogger(__name__)


class _Unread(SignatureRejected):
    """It may well be about the image, but it is too large for us to tell."""


class _Envelope(Document):
    payload: str
    payload_type: str = Field(alias="payloadType")
    signatures: Any = None
    """Not looked at: an attestation that is deleted need not be good."""


def find_attachments(registry: Registry, repository: Repository, digest: str) -> list[Attachment]:
    """Find what cosign 2 attached to a digest; leave out what is, or may be, about anything else.

    What is too large to be read is `unread`.
    Raises RegistryUnavailable: what could not be looked at is never taken for absent.
    """
    found = []
    for suffix in SUFFIXES:
        tag = f"sha256-{digest_hex(digest)}{suffix}"
        try:
            tagged = registry.find_tag(repository, tag)
            if tagged is not None:
                found.append(_look(registry, repository, tagged, suffix, digest))
        except Rejected as error:
            _log.info("%s:%s is left alone: %s", repository, tag, parsing.error_summary(error))
    return found


def _look(registry: Registry, repository: Repository, tagged: str, suffix: str, digest: str) -> Attachment:
    try:
        return Attachment(tagged, suffix, names_subject=_check(registry, repository, tagged, digest))
    except _Unread as error:
        return Attachment(tagged, suffix, names_subject=False, unread=error.message)


def _check(registry: Registry, repository: Repository, tagged: str, digest: str) -> bool:
    """Tell whether a manifest names the image itself; raise Rejected unless it is cosign's and of no other image."""
    manifest = registry.fetch_manifest(repository, tagged)
    if not 0 < len(manifest.layers) <= MAX_CANDIDATES:
        raise SignatureRejected(f"it has {len(manifest.layers)} layers")
    if manifest.subject is not None and manifest.subject.digest != digest:
        raise SignatureRejected("it refers to another image")
    named = [_names(registry, repository, layer, digest) for layer in manifest.layers]
    return all(named)


def _names(registry: Registry, repository: Repository, layer: Descriptor, digest: str) -> bool:
    if layer.media_type in SBOMS:
        return False
    if layer.media_type not in {SIMPLE_SIGNING, ENVELOPE}:
        raise SignatureRejected(f"it holds {parsing.quoted(layer.media_type)}, which cosign does not attach")
    if layer.size > MAX_PAYLOAD:
        raise _Unread(f"it has {layer.size} bytes; at most {MAX_PAYLOAD} are read")
    raw = registry.read_blob(repository, layer, limit=MAX_PAYLOAD)
    if layer.media_type == SIMPLE_SIGNING:
        signed_payloads.check_simple_signing(raw, digest)
    else:
        _check_attestation(raw, digest)
    return True


def _check_attestation(raw: bytes, digest: str) -> None:
    envelope = parsing.read(_Envelope, raw, what="the attestation")
    if envelope.payload_type != signed_payloads.PAYLOAD_TYPE:
        raise SignatureRejected(f"the attestation has payload type {parsing.quoted(envelope.payload_type)}")
    payload = parsing.decode_base64(envelope.payload, what="the attestation's payload")
    if strict_json.count_structural_tokens(payload) > MAX_MARKS:
        raise _Unread(f"its statement has more than {MAX_MARKS} brackets, commas and colons")
    statement = parsing.read(signed_payloads.Statement, payload, what="the statement", max_marks=MAX_MARKS)
    if [subject.digest for subject in statement.subject] != [{"sha256": digest_hex(digest)}]:
        raise SignatureRejected("it is an attestation of something else, or not only of this image")
