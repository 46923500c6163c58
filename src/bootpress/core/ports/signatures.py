"""Signatures: who signed a digest, and what else cosign left beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bootpress.core.platforms.trust import TrustPolicy
from bootpress.core.ports.registries import Registry
from bootpress.core.references import Repository


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
    """Decide whether a digest is signed by whom the platform trusts (docs/reference/contract.md#trust)."""

    def check_policy(self, policy: TrustPolicy) -> None:
        """Compile every expression, key and root of a policy; raise InvalidInput that names the field."""

    def normalise(self, policy: TrustPolicy) -> TrustPolicy:
        """Return a policy that holds, its keys in one spelling; raise InvalidInput that names the field."""

    def trusts(self, policy: TrustPolicy, signer: Signer) -> bool:
        """Tell whether a policy names this signer, whose signature was verified before; looks at no trusted root."""

    def verify(self, registry: Registry, repository: Repository, digest: str, policy: TrustPolicy) -> VerifiedSignature:
        """Return the first good signature on exactly this digest.

        Raises SignatureRejected, saying for each candidate why not; RegistryUnavailable and TrustRootUnavailable are
        never turned into "unsigned".
        """

    def find_attachments(self, registry: Registry, repository: Repository, digest: str) -> Sequence[Attachment]:
        """Find what cosign 2 attached to a digest by tag; leave out what is, or may be, about anything else.

        Raises RegistryUnavailable: what could not be looked at is never taken for absent.
        """
