"""What core needs from the outside: one Protocol each, and the values that cross them.

Implementations live in `bootpress.adapters`; fakes live beside the tests and pass the same conformance tests.
Every method raises only classes of `bootpress.core.errors`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from bootpress.core.platforms.trust import TrustPolicy
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


class Deletion(enum.StrEnum):
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

    def delete_manifest(self, repository: Repository, digest: str) -> Deletion:
        """Delete by digest; an absent one, and a registry that cannot or will not delete, are answers, not errors.

        After RegistryUnavailable nobody knows whether it was deleted.
        """


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed, in the words of the contract."""

    mode: str
    identity: str | None = None
    issuer: str | None = None
    key_sha256: str | None = None
    """Hex SHA-256 of the key's DER SubjectPublicKeyInfo."""


@dataclass(frozen=True, slots=True)
class VerifiedSignature:
    """One signature that the policy trusts, and where it was found."""

    signer: Signer
    format: str
    """`bundle-v3` (OCI referrer, cosign 3) or `legacy-v2` (`.sig` tag, cosign 2)."""
    manifest_digest: str
    signed_at: datetime | None
    """The logged or stamped time; None for a bare key signature."""
    docker_reference: str | None = None
    """What a cosign 2 payload says it was signed as; recorded, never compared."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A manifest that cosign 2 attached to an image by a tag, `sha256-<hex>` and a suffix."""

    digest: str
    suffix: str
    names_subject: bool
    """Whether it says itself that it is about this image alone; an SBOM does not, so others may have the same."""
    unread: str | None = None
    """Why it was not read, so that nobody knows what it is about: it is left alone, and said to be."""


class SignatureVerifier(Protocol):
    """Decide whether a digest is signed by whom the platform trusts (DESIGN.md, trust rules)."""

    def check_policy(self, policy: TrustPolicy) -> None:
        """Compile every expression, key and root of a policy; raise InvalidInput that names the field."""

    def verify(self, registry: Registry, repository: Repository, digest: str, policy: TrustPolicy) -> VerifiedSignature:
        """Return the first good signature on exactly this digest.

        Raises SignatureRejected, saying for each candidate why not; RegistryUnavailable and TrustRootUnavailable are
        never turned into "unsigned".
        """

    def find_attachments(self, registry: Registry, repository: Repository, digest: str) -> Sequence[Attachment]:
        """Find what cosign 2 attached to a digest by tag; leave out what is, or may be, about anything else.

        Raises RegistryUnavailable: what could not be looked at is never taken for absent.
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


class Registries(Protocol):
    """Open registries; one per connection is kept and shared by threads."""

    def open(self, connection: RegistryConnection) -> Registry:
        """Return the registry of a connection."""


class Connections(Protocol):
    """The connections of an account; raises OrchestratorUnavailable while their store is away."""

    def save_registry(self, account_id: UUID, connection: RegistryConnection) -> None:
        """Create or replace the registry connection of that name."""

    def find_registry(self, account_id: UUID, name: str) -> RegistryConnection | None:
        """Return the registry connection of that name, or None."""

    def list_registries(self, account_id: UUID) -> Sequence[RegistryConnection]:
        """List an account's registry connections by name."""


class Launcher(Protocol):
    """Start work in the orchestrator; raises OrchestratorUnavailable when it is away.

    A repeat with the same key returns the first run, so a relaunch uses a new key.
    """

    def launch_delivery(self, delivery_id: UUID, *, key: UUID, run_name: str) -> UUID:
        """Start a run of `ingest-publication/webhook` for one delivery; return the flow run's id."""

    def launch_batch(self, batch_id: UUID, *, run_name: str) -> UUID:
        """Start a run of `ingest-backlog/relay` for the deliveries of a batch; return the flow run's id."""


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event as listeners get it."""

    id: UUID
    kind: str
    account_id: UUID
    occurred_at: datetime
    payload: Mapping[str, Any]


class EventSink(Protocol):
    """Fan events out to whoever listens.

    Raises OrchestratorUnavailable when it cannot now, and Rejected when it will never take one of those it was handed.
    """

    def emit(self, events: Sequence[OutgoingEvent]) -> None:
        """Hand events over, at once; the same id twice is one event to listeners."""


class Clock(Protocol):
    """The time."""

    def now(self) -> datetime:
        """Return the present moment, in UTC, with its time zone."""
