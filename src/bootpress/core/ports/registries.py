"""OCI registries: what they hold, and what is asked of them."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bootpress.core.references import Repository

Progress = Callable[[int], None]
"""Called with the number of bytes that have arrived since the last call."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What an OCI descriptor says of content it points to (image-spec 1.1, descriptor.md); size in bytes."""

    media_type: str
    digest: str
    size: int
    artifact_type: str | None = None
    architecture: str | None = None
    """`platform.architecture`, where an index states it."""
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str | None:
        """Return the file name that oras gives a layer."""
        return self.annotations.get("org.opencontainers.image.title")


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index whose raw bytes had the digest it was asked for by."""

    digest: str
    media_type: str
    size: int
    artifact_type: str | None
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    manifests: tuple[Descriptor, ...]
    """Children, if this is an index."""
    subject: Descriptor | None
    annotations: Mapping[str, str]

    @property
    def is_index(self) -> bool:
        """Tell an image index from an image manifest."""
        return self.config is None


class DeleteResult(enum.StrEnum):
    """How a registry answered a delete."""

    DELETED = "deleted"
    ABSENT = "absent"
    UNSUPPORTED = "unsupported"
    """It deletes nothing."""
    DENIED = "denied"
    """It does not delete this for us; nothing was deleted."""
    REFUSED = "refused"
    """It does not delete this, whoever asks; nothing was deleted."""


class Registry(Protocol):
    """One OCI registry, spoken to with one credential.

    Raises RegistryUnavailable when it does not answer as it should, ContentRejected when bytes are not what their
    digest says or what is asked for is not there by digest, ReferenceRejected for a tag that is not there.
    """

    def check(self) -> None:
        """Make sure that this is a registry and that it accepts our credential."""

    def resolve_tag(self, repository: Repository, tag: str) -> str:
        """Return the digest a tag points to now, of the bytes that were served; ReferenceRejected if there is none."""

    def find_tag(self, repository: Repository, tag: str) -> str | None:
        """Like resolve_tag, but None when the registry says that the tag does not exist."""

    def fetch_manifest(self, repository: Repository, digest: str) -> Manifest:
        """Fetch by digest and check the raw bytes against it; at most 4 MiB."""

    def read_blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Fetch a small blob whole, checked by digest and size; ContentRejected if it declares over `limit` bytes."""

    def verify_blob(self, repository: Repository, descriptor: Descriptor, progress: Progress | None = None) -> None:
        """Stream a blob, hashing as it goes, and keep nothing; ContentRejected when a byte or the size differs."""

    def list_referrers(self, repository: Repository, digest: str) -> Sequence[Descriptor]:
        """List what refers to a digest: the referrers API where there is one, and the fallback tag `sha256-<hex>`.

        Unfiltered (an index may lie about types), duplicates by digest removed, in the order the registry gave,
        at most 1,000.
        """

    def has_manifest(self, repository: Repository, digest: str) -> bool:
        """Tell whether anything is served under this digest, whatever it is; an answer of "not found" is False."""

    def put_blob(self, repository: Repository, content: bytes) -> Descriptor | None:
        """Store a small blob that no manifest names; None where the registry does not let us."""

    def has_blob(self, repository: Repository, blob: Descriptor) -> bool:
        """Tell whether a small blob is served; RegistryUnavailable also when other bytes are."""

    def delete_blob(self, repository: Repository, digest: str) -> DeleteResult:
        """Like delete_manifest, of a blob."""

    def delete_manifest(self, repository: Repository, digest: str) -> DeleteResult:
        """Delete by digest; an absent one, and a registry that cannot or will not delete, are answers, not errors.

        After RegistryUnavailable nobody knows whether it was deleted.
        """


@dataclass(frozen=True, slots=True)
class RegistryConnection:
    """How to reach one registry host; `token` is never in a repr."""

    name: str
    host: str
    username: str | None = None
    token: str | None = field(default=None, repr=False)
    plain_http: bool = False
    """Allow HTTP to a host that is not this machine (loopback hosts always speak HTTP when no HTTPS is asked for)."""


class RegistryFactory(Protocol):
    """Open registries; one per connection is kept and shared by threads."""

    def open(self, connection: RegistryConnection) -> Registry:
        """Return the registry of a connection."""
