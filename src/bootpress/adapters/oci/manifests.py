"""Manifests and indexes as values (image-spec 1.1: manifest.md, image-index.md, descriptor.md): pure and strict.

What two readers could understand differently is refused (docs/reference/json-documents.md): a name that folds to
another one, a manifest that is an index too, a media type that says one thing inside and another outside.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, Field

from bootpress.adapters.oci.limits import MAX_BLOB, MAX_REFERRERS
from bootpress.core.documents import Document, DocumentModel, read_value
from bootpress.core.errors import ContentRejected, InvalidInput
from bootpress.core.ports import Descriptor, Manifest
from bootpress.core.references import parse_digest
from bootpress.core.strict_json import parse_object

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = (OCI_INDEX, DOCKER_INDEX)
ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_INDEX, DOCKER_MANIFEST)

SCHEMA_VERSION = 2
MAX_LAYERS = 1000
MAX_MANIFESTS = 1000
MAX_ANNOTATIONS = 1000
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}", re.ASCII)


def _check_base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


_Base64 = Annotated[str, AfterValidator(_check_base64)]


class _Platform(Document):
    """Of these only the architecture is read; the others are named, so that nothing folds to them. So below.

    They have the types that Go reads: of another one it refuses the whole manifest, and nobody could pull the image.
    """

    architecture: Any = None
    os: str | None = None
    os_version: str | None = Field(None, alias="os.version")
    os_features: list[str] | None = Field(None, alias="os.features")
    variant: str | None = None
    features: list[str] | None = None


class _Descriptor(Document):
    media_type: Any = Field(None, alias="mediaType")
    digest: Any = None
    size: Any = None
    urls: list[str] | None = None
    annotations: Any = None
    data: _Base64 | None = None
    platform: Any = None
    artifact_type: Any = Field(None, alias="artifactType")


class _Manifest(Document):
    """A manifest or an index, of OCI or of Docker; what is in it says which."""

    schema_version: Any = Field(None, alias="schemaVersion")
    media_type: Any = Field(None, alias="mediaType")
    artifact_type: Any = Field(None, alias="artifactType")
    config: Any = None
    layers: Any = None
    manifests: Any = None
    subject: Any = None
    annotations: Any = None
    fsLayers: Any = None  # noqa: N815 - see _SCHEMA_1
    history: Any = None


class _Read(Protocol):
    def __call__(self, value: Any, *, where: str) -> Descriptor: ...


_IMAGE, _INDEX = frozenset({"config", "layers"}), frozenset({"manifests"})
_SCHEMA_1 = frozenset({"fsLayers", "history"})
"""Members of Docker's first schema. podman and containerd refuse them beside others: they would be another image."""
_NAMES_MORE = frozenset({*ACCEPTED, "application/vnd.oci.artifact.manifest.v1+json"})
"""Types of content that names other content. As a layer, oras and containerd would pull what that names too."""


def digest_of(raw: bytes) -> str:
    """Return the sha256 digest of bytes."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def parse_manifest(raw: bytes, *, content_type: str | None) -> Manifest:
    """Read a manifest or an index; `content_type` is what it was served as, without parameters.

    The digest is that of `raw`. Raises ContentRejected, saying which field of which descriptor does not hold.
    """
    stated = _read_members(_Manifest, read_object(raw, what="the manifest"), where="the manifest")
    media_type = _media_type(stated.media_type, content_type)
    if not isinstance(stated.schema_version, int) or stated.schema_version != SCHEMA_VERSION:
        raise ContentRejected(f"the manifest's schemaVersion is not {SCHEMA_VERSION}")
    is_index = media_type in INDEXES
    wrong = ((_IMAGE if is_index else _INDEX) | _SCHEMA_1) & stated.model_fields_set
    if wrong:
        raise ContentRejected(f"the manifest is an {'index' if is_index else 'image'} and has {min(wrong)} too")
    return Manifest(
        digest=digest_of(raw),
        media_type=media_type,
        size=len(raw),
        artifact_type=_optional_media_type(stated.artifact_type, "artifactType", where="the manifest"),
        config=None if is_index else _blob(stated.config, where="config"),
        layers=() if is_index else _descriptors(stated.layers, "layers", MAX_LAYERS, read=_blob),
        manifests=_descriptors(stated.manifests, "manifests", MAX_MANIFESTS, read=_descriptor) if is_index else (),
        subject=_descriptor(stated.subject, where="subject") if stated.subject is not None else None,
        annotations=_annotations(stated.annotations, where="the manifest"),
    )


def parse_referrers(raw: bytes, *, content_type: str | None = None) -> list[Descriptor]:
    """Read an index of referrers, at most the first 1,000; ContentRejected if it is no index.

    A descriptor that does not hold is left out: anyone who may push can write one, and it must not hide the others.
    """
    what = "the index of referrers"
    stated = _read_members(_Manifest, read_object(raw, what=what), where=what)
    inside = stated.media_type or content_type or OCI_INDEX
    is_index = inside in INDEXES and content_type in {None, inside} and isinstance(stated.manifests, list)
    if not is_index or (_IMAGE | _SCHEMA_1) & stated.model_fields_set:
        raise ContentRejected(f"{what} is no index")
    found = []
    for entry in stated.manifests:
        try:
            found.append(_descriptor(entry, where="a referrer"))
        except ContentRejected:
            continue
        if len(found) == MAX_REFERRERS:
            break
    return found


def read_object(raw: bytes, *, what: str) -> dict[str, Any]:
    """Read a JSON object strictly; ContentRejected for anything else."""
    try:
        return parse_object(raw, what=what)
    except InvalidInput as error:
        raise ContentRejected(error.message) from error


def _read_members(model: type[DocumentModel], stated: Mapping[str, Any], *, where: str) -> DocumentModel:
    try:
        return read_value(model, stated, what=where)
    except InvalidInput as error:
        raise ContentRejected(error.message) from error


def _media_type(stated: Any, content_type: str | None) -> str:
    inside = _optional_media_type(stated, "mediaType", where="the manifest")
    if inside and content_type and inside != content_type:
        raise ContentRejected(f"the manifest says it is {inside}, and is served as {content_type[:200]}")
    media_type = inside or content_type
    if media_type not in ACCEPTED:
        raise ContentRejected(
            f"the manifest has the media type {(media_type or 'none')[:200]}", hint=f"push one of {', '.join(ACCEPTED)}"
        )
    return media_type


def _descriptors(listed: Any, name: str, limit: int, *, read: _Read) -> tuple[Descriptor, ...]:
    if not isinstance(listed, list):
        raise ContentRejected(f"the manifest's {name} is not a list")
    if len(listed) > limit:
        raise ContentRejected(f"the manifest has {len(listed)} {name}; at most {limit} are read")
    return tuple(read(entry, where=f"{name}[{number}]") for number, entry in enumerate(listed))


def _blob(value: Any, *, where: str) -> Descriptor:
    blob = _descriptor(value, where=where)
    if blob.media_type in _NAMES_MORE:
        raise ContentRejected(
            f"{where} is a manifest ({blob.media_type}), not a blob", hint="name manifests in an index"
        )
    return blob


def _descriptor(value: Any, *, where: str) -> Descriptor:
    """Read a descriptor. Its `urls` and `data` are not used: content comes from the registry, by digest."""
    if not isinstance(value, dict):
        raise ContentRejected(f"{where} is not a descriptor")
    stated = _read_members(_Descriptor, value, where=where)
    media_type = _optional_media_type(stated.media_type, "mediaType", where=where)
    if media_type is None:
        raise ContentRejected(f"{where} has no mediaType")
    size = stated.size
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_BLOB:
        raise ContentRejected(f"{where} has no size between 0 and {MAX_BLOB} bytes")
    return Descriptor(
        media_type=media_type,
        digest=_digest(stated.digest, where=where),
        size=size,
        artifact_type=_optional_media_type(stated.artifact_type, "artifactType", where=where),
        architecture=_architecture(stated.platform, where=where),
        annotations=_annotations(stated.annotations, where=where),
    )


def _digest(value: Any, *, where: str) -> str:
    try:
        return parse_digest(value if isinstance(value, str) else "")
    except InvalidInput as error:
        raise ContentRejected(f"{where} has no sha256 digest") from error


def _architecture(platform: Any, *, where: str) -> str | None:
    if platform is None:
        return None
    if not isinstance(platform, dict):
        raise ContentRejected(f"{where}'s platform is not an object")
    architecture = _read_members(_Platform, platform, where=f"{where}'s platform").architecture
    if architecture is None:
        return None
    return _text(architecture, where=f"{where}'s platform", limit=100)


def _annotations(value: Any, *, where: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MAX_ANNOTATIONS:
        raise ContentRejected(f"{where}'s annotations are not an object of at most {MAX_ANNOTATIONS}")
    return {_text(name, where=where): _text(text, where=f"{where}'s annotations") for name, text in value.items()}


def _optional_media_type(value: Any, name: str, *, where: str) -> str | None:
    if value is None or value == "":  # some writers leave an empty artifactType
        return None
    if not isinstance(value, str) or not _MEDIA_TYPE.fullmatch(value):
        raise ContentRejected(f"{where}'s {name} is no media type")
    return value


def _text(value: Any, *, where: str, limit: int = 1024 * 1024) -> str:
    """Return text that a database takes: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str) or len(value) > limit or "\0" in value:
        raise ContentRejected(f"{where} holds what is no text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ContentRejected(f"{where} holds text that is no Unicode") from error
    return value
