"""What an image consists of: the manifests that are read, and a row of everything they name."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from bootpress.core.errors import ContentRejected
from bootpress.core.ports import Descriptor, Manifest, Registry
from bootpress.core.publications import rules
from bootpress.core.publications.image_configs import CONFIGS, read_architecture
from bootpress.core.publications.models import Artifact
from bootpress.core.references import Repository

MAX_CONFIG = 1024 * 1024


def fetch_children(registry: Registry, repository: Repository, top: Manifest) -> list[Manifest]:
    """Fetch the manifests that an index names.

    Raises ContentRejected for a nested index, and where the index states another size or media type than a manifest
    has: other readers read it as what the index says.
    """
    if len(top.manifests) > rules.MAX_CHILDREN:
        raise ContentRejected(f"the index names {len(top.manifests)} manifests; at most {rules.MAX_CHILDREN} are read")
    named = {child.digest: child for child in top.manifests}.values()
    if (size := sum(child.size for child in named)) > rules.MAX_CHILDREN_SIZE:
        raise ContentRejected(
            f"the index names manifests of {size} bytes together; at most {rules.MAX_CHILDREN_SIZE} are read"
        )
    children = {child.digest: registry.fetch_manifest(repository, child.digest) for child in named}
    for child in top.manifests:
        _check_child(children[child.digest], child)
    return list(children.values())


def _check_child(manifest: Manifest, stated: Descriptor) -> None:
    if manifest.is_index:
        raise ContentRejected(f"the index names another index, {stated.digest}", hint="push a flat index")
    if manifest.size != stated.size:
        raise ContentRejected(f"the index says {stated.size} bytes of {stated.digest}, which has {manifest.size}")
    if manifest.media_type != stated.media_type:
        raise ContentRejected(f"the index says {stated.media_type} of {stated.digest}, which is {manifest.media_type}")


def check_config(registry: Registry, repository: Repository, image: Manifest, *, arch: str) -> None:
    """Refuse an image whose config, if it is of a kind that says so, states another architecture than `arch`."""
    if image.config is None or image.config.media_type not in CONFIGS:
        return
    raw = registry.read_blob(repository, image.config, limit=MAX_CONFIG)
    rules.check_stated_arch(read_architecture(raw, image.config.media_type), arch)


def artifact_rows(manifests: Sequence[Manifest]) -> list[Artifact]:
    """Make a row of each manifest, config and layer, each once where a manifest names it."""
    rows: dict[tuple[str, str, str], Artifact] = {}
    for manifest in manifests:
        own = Descriptor(manifest.media_type, manifest.digest, manifest.size)
        named = [("manifest", own), *(("config", blob) for blob in [manifest.config] if blob)]
        for role, descriptor in [*named, *(("layer", layer) for layer in manifest.layers)]:
            title = (descriptor.title or "")[:200]
            rows[manifest.digest, descriptor.digest, title] = Artifact(
                id=uuid4(),
                role=role,
                manifest_digest=manifest.digest,
                digest=descriptor.digest,
                media_type=descriptor.media_type[:200],
                size_bytes=descriptor.size,
                title=title,
            )
    return list(rows.values())
