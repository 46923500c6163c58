"""Whether a publication is what its platform demands now: its architecture, repository and trust may have changed.

Decided from the records alone, without a registry: a signature was verified when the image was published, and is good
under the present policy if that trusts the same signer under the same trusted root.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import defer

from bootpress.core.context import Context
from bootpress.core.errors import Conflict
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.trust import trust_policy
from bootpress.core.ports import SignatureVerifier, Signer
from bootpress.core.publications import rules
from bootpress.core.publications.models import Publication
from bootpress.core.references import parse_repository

MAX_DIFFERENCES = 3


def differences(verifier: SignatureVerifier, platform: NodePlatform, publication: Publication) -> list[str]:
    """Say in what a publication differs from what its platform demands now; nothing where it does not."""
    found = []
    if publication.arch != platform.arch:
        found.append(f"arch: the platform's is {platform.arch}, the publication's {publication.arch}")
    if parse_repository(publication.repository).canonical != parse_repository(platform.oci_repository).canonical:
        found.append(
            f"oci_repository: the platform's is {platform.oci_repository}, the publication's {publication.repository}"
        )
    distrust = _distrust(verifier, platform, publication)
    return found if distrust is None else [*found, f"trust: {distrust}"]


def differences_of_defaults(context: Context, platforms: Sequence[NodePlatform]) -> dict[UUID, list[str]]:
    """Return in what the default of each of these platforms differs, by the platform's id, where there is one."""
    ids = [platform.default_publication_id for platform in platforms if platform.default_publication_id is not None]
    if not ids:
        return {}
    query = select(Publication).where(Publication.id.in_(ids)).options(defer(Publication.claims))
    with context.catalog.read_session() as session:
        defaults = {publication.id: publication for publication in session.scalars(query)}
    return {
        platform.id: differences(context.verifier, platform, defaults[platform.default_publication_id])
        for platform in platforms
        if platform.default_publication_id in defaults
    }


def require_eligible(verifier: SignatureVerifier, platform: NodePlatform, publication: Publication) -> None:
    """Raise Conflict, with every difference, unless a publication is what its locked platform demands now."""
    found = differences(verifier, platform, publication)
    if found:
        raise Conflict(
            f"publication {publication.id} is not what the platform {platform.slug} demands now: {'; '.join(found)}",
            hint=f"announce {platform.oci_repository}@{publication.oci_digest}, so that it is verified under what holds"
            " now, or change the platform with system_update_node_platform",
        )


def _distrust(verifier: SignatureVerifier, platform: NodePlatform, publication: Publication) -> str | None:
    if publication.trust_sha256 == rules.fingerprint_trust(platform.trust):
        return None
    if publication.signer is None:
        return "it is not known who signed the publication"
    signer = Signer(**publication.signer)
    if not verifier.trusts(trust_policy.validate_python(platform.trust), signer):
        return f"the platform does not trust {_name(signer)}, who signed the publication"
    if publication.trusted_root_sha256 != rules.fingerprint_root(platform.trust):
        return "the platform's trusted root is not known to be the one that the signature was verified under"
    return None


def _name(signer: Signer) -> str:
    if signer.mode == "keys":
        return f"the key with the SHA-256 {signer.key_sha256}"
    return f"the identity {signer.identity!r} of the issuer {signer.issuer!r}"
