"""Pure rules of publications: what may become what, and what an artifact must be to be published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bootpress.core.deliveries.payload import DeliveryPayload
from bootpress.core.errors import ContentRejected, InvalidInput, ReferenceRejected
from bootpress.core.ports import Descriptor, Manifest
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.references import Reference, Repository, digest_hex, parse_reference
from bootpress.core.state_machine import StateMachine

MAX_CHILDREN = 32
MAX_CHILDREN_SIZE = 16 * 1024 * 1024
"""Bytes of all manifests of an index: what they say is held until the last of them is read."""
MAX_BLOBS = 1000
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

PUBLICATION = StateMachine(
    noun="publication",
    moves={
        "verify": (frozenset({Status.QUEUED, Status.FAILED, Status.PURGED, Status.VERIFYING}), Status.VERIFYING),
        "publish": (frozenset({Status.VERIFYING}), Status.PUBLISHED),
        "fail": (frozenset({Status.VERIFYING}), Status.FAILED),
        "retire": (frozenset({Status.PUBLISHED}), Status.RETIRED),
        "restore": (frozenset({Status.RETIRED}), Status.PUBLISHED),
        "purge": (frozenset({Status.RETIRED}), Status.PURGED),
        "revoke": (frozenset({Status.PUBLISHED, Status.RETIRED}), Status.REVOKED),
    },
)

SETTLED = frozenset({Status.PUBLISHED, Status.RETIRED, Status.REVOKED})
"""Announced again in one of these, nothing changes but that an event says so."""


def policy_fingerprint(*, trust: Mapping[str, Any], arch: str, repository: str) -> str:
    """Return the SHA-256 of what a platform demands of an image: whose signature, which architecture, where it lies."""
    return _fingerprint({"trust": trust, "arch": arch, "repository": repository})


def fingerprint_trust(trust: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a trust policy."""
    return _fingerprint(trust)


def fingerprint_root(trust: Mapping[str, Any]) -> str | None:
    """Return the SHA-256 of what a trust policy names as its trusted root; None where it trusts keys."""
    return _fingerprint(trust["trusted_root"]) if trust["mode"] == "keyless" else None


def _fingerprint(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def read_reference(text: str, *, repository: Repository) -> Reference:
    """Read an announced reference against a platform's repository.

    Raises ReferenceRejected when it cannot be read, or lies in another repository: aliases of a host are one.
    """
    try:
        reference = parse_reference(text, default_host=repository.host)
    except InvalidInput as error:
        raise ReferenceRejected(f"oci_ref: {error.message}", hint=error.hint) from error
    if reference.repository.canonical != repository.canonical:
        raise ReferenceRejected(
            f"oci_ref names the repository {reference.repository}, but the platform's is {repository}",
            hint="push to the platform's oci_repository, or change it with system_update_node_platform",
        )
    return reference


def check_digest_claims(announcement: DeliveryPayload, digest: str) -> None:
    """Compare every announced digest with the one that is there; ContentRejected names the one that differs."""
    if announcement.digest is not None and announcement.digest != digest:
        raise ContentRejected(f"announced as {announcement.digest}, but the registry has {digest}")
    claimed = announcement.manifest_sha256
    if claimed is not None and claimed != digest_hex(digest):
        raise ContentRejected(
            f"announced with sha256 {claimed[:80]}, but the manifest's is {digest_hex(digest)}",
            hint="sha256 is the hex of the manifest's digest; leave it away if the pipeline cannot tell it",
        )


def check_content_claims(announcement: DeliveryPayload, *, arch: str, size_bytes: int) -> None:
    """Compare the announced architecture and size with what the manifest says; ContentRejected names the difference."""
    if announcement.arch is not None and normalize_arch(announcement.arch) != arch:
        raise ContentRejected(f"announced for {announcement.arch[:40]}, but the platform is {arch}")
    if announcement.size_bytes is not None and announcement.size_bytes != size_bytes:
        raise ContentRejected(
            f"announced with {announcement.size_bytes} bytes, but its manifest sums up to {size_bytes}",
            hint="size_bytes is the sum of the config and layers of the platform's architecture",
        )


def normalize_arch(arch: str) -> str:
    """Return an architecture as Go and OCI call it."""
    text = arch.strip().lower()
    return ARCHITECTURES.get(text, text)


def select_for_arch(children: Sequence[Descriptor], arch: str) -> Descriptor:
    """Return the child of an index that is for the platform's architecture; ContentRejected if none or several are.

    Children for `unknown` (attestations, as BuildKit stores them) are for nobody.
    """
    matching = [child for child in children if child.architecture and normalize_arch(child.architecture) == arch]
    if len(matching) == 1:
        return matching[0]
    stated = ", ".join(sorted({str(child.architecture)[:40] for child in children})) or "none"
    number = "no manifest" if not matching else f"{len(matching)} manifests"
    raise ContentRejected(f"the index has {number} for {arch} (it has: {stated})")


def check_stated_arch(stated: str | None, arch: str) -> None:
    """Refuse a config that states another architecture than the platform's; none stated is the platform's."""
    if stated is not None and normalize_arch(stated) != arch:
        raise ContentRejected(f"the image is for {stated[:40]}, but the platform is {arch}")


def blobs_of(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Return the config and layers of an image manifest; ContentRejected when there are too many."""
    blobs = (*([manifest.config] if manifest.config else []), *manifest.layers)
    if len(blobs) > MAX_BLOBS:
        raise ContentRejected(f"the manifest names {len(blobs)} blobs; at most {MAX_BLOBS} are read")
    return blobs


def check_sizes(manifests: Sequence[Manifest]) -> None:
    """Refuse manifests that give one digest two sizes; ContentRejected names the digest."""
    sizes: dict[str, int] = {}
    for blob in (blob for manifest in manifests for blob in blobs_of(manifest)):
        if sizes.setdefault(blob.digest, blob.size) != blob.size:
            raise ContentRejected(f"the manifest gives {blob.digest} two sizes: {sizes[blob.digest]} and {blob.size}")


def image_size(manifest: Manifest) -> int:
    """Return the bytes of an image manifest's blobs; a blob that is named twice counts once."""
    return sum({blob.digest: blob.size for blob in blobs_of(manifest)}.values())
