"""What a signature says it signs: the in-toto statement of cosign 3, the simple signing payload of cosign 2."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from bootpress.adapters.cosign import parsing
from bootpress.core.documents import Document
from bootpress.core.errors import SignatureRejected
from bootpress.core.references import digest_hex
from bootpress.core.texts import shown

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
SIMPLE_SIGNING_TYPE = "cosign container image signature"


class _Subject(Document):
    """A resource descriptor (in-toto 1.0); what is not compared is named too, so that nothing folds to it."""

    reads_field_names: ClassVar = True

    digest: dict[str, str]
    name: Any = None
    uri: Any = None
    content: Any = None
    download_location: Any = Field(None, alias="downloadLocation")
    media_type: Any = Field(None, alias="mediaType")
    annotations: Any = None


class Statement(Document):
    """A statement of in-toto. Further members may be there: in-toto tells readers to ignore what they do not know."""

    reads_field_names: ClassVar = True

    type_: str = Field("", alias="_type")
    subject: list[_Subject]
    predicate_type: str = Field("", alias="predicateType")
    predicate: Any = None


class _Identity(parsing.StrictModel):
    docker_reference: str = Field(alias="docker-reference")


class _Image(parsing.StrictModel):
    docker_manifest_digest: str = Field(alias="docker-manifest-digest")


class _Critical(parsing.StrictModel):
    identity: _Identity
    image: _Image
    type_: str = Field(alias="type")


class _SimpleSigning(parsing.StrictModel):
    critical: _Critical
    optional: dict[str, Any] | None = None


def check_statement(payload: bytes, digest: str) -> None:
    """Make sure that a DSSE payload is cosign's statement on exactly this digest (in-toto Statement v1).

    cosign names one image per signature, so a statement with several subjects, or with digests that we cannot
    compare, is not one of its signatures. Other predicate types are attestations: they say something about an
    image, not that it may be published.
    """
    statement = parsing.read(Statement, payload, what="the statement")
    if statement.predicate_type != SIGN_PREDICATE:
        raise SignatureRejected(f"it is an attestation ({shown(statement.predicate_type)}), not an image signature")
    if statement.type_ != STATEMENT_TYPE:
        raise SignatureRejected(f"the statement has type {parsing.quoted(statement.type_)}, not '{STATEMENT_TYPE}'")
    if [subject.digest for subject in statement.subject] != [{"sha256": digest_hex(digest)}]:
        raise SignatureRejected("it is a signature of something else: " + _name_subjects(statement))


def check_simple_signing(payload: bytes, digest: str) -> str:
    """Make sure that a cosign 2 payload is about exactly this digest; return its docker-reference.

    The reference is a claim that cosign itself never compares; an image may have been copied since.
    """
    document = parsing.read(_SimpleSigning, payload, what="the payload")
    critical = document.critical
    if critical.type_ != SIMPLE_SIGNING_TYPE:
        raise SignatureRejected(f"the payload has type {parsing.quoted(critical.type_)}, not '{SIMPLE_SIGNING_TYPE}'")
    if critical.image.docker_manifest_digest != digest:
        raise SignatureRejected(
            "it is a signature of something else: " + shown(critical.image.docker_manifest_digest, 100)
        )
    return critical.identity.docker_reference


def _name_subjects(statement: Statement) -> str:
    names = [f"{name}:{value}" for subject in statement.subject for name, value in subject.digest.items()]
    return shown(", ".join(names) or "no digest at all")
