"""The recorded signatures of tests/assets/vectors: cases, layouts, policies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootpress.adapters.oci.push import Pusher
from bootpress.core.platforms.trust import KeylessTrust, KeysTrust, trust_policy
from bootpress.core.references import Repository
from tests.support.layouts import LayoutRegistry

VECTORS = Path(__file__).parents[1] / "assets" / "vectors"


@dataclass(frozen=True, slots=True)
class Vector:
    """One recorded case."""

    name: str
    digest: str
    is_good: bool
    trust: dict[str, Any]
    """As an operation takes it: keys as PEM, the trusted root as an object."""
    path: Path
    """The OCI layout."""

    @property
    def repository(self) -> Repository:
        """Return a repository for it; the signatures bind the digest alone."""
        return Repository("127.0.0.1:5000", f"public/{self.name}")

    @property
    def policy(self) -> KeylessTrust | KeysTrust:
        """Return the trust policy."""
        return trust_policy.validate_python(self.trust)

    def open(self) -> LayoutRegistry:
        """Return a registry of its own to change."""
        return LayoutRegistry(self.path)


def load_vectors(folder: Path = VECTORS) -> dict[str, Vector]:
    """Read all cases of a folder, by name."""
    cases: dict[str, dict[str, Any]] = json.loads((folder / "cases.json").read_bytes())
    return {
        name: Vector(name, case["digest"], case["expect"] == "ok", _resolve(folder, case["trust"]), folder / name)
        for name, case in cases.items()
    }


def trusted_root(folder: Path = VECTORS) -> dict[str, Any]:
    """Return the trusted root of the services that signed."""
    root: dict[str, Any] = json.loads((folder / "trusted_root.json").read_bytes())
    return root


def push_vector(pusher: Pusher, repository: Repository, vector: Vector) -> None:
    """Push a case's artifact and signatures to a real registry, with its tags, byte for byte."""
    registry = vector.open()
    manifests = {digest: raw for digest, raw in registry.blobs.items() if _media_type(raw)}
    for digest, raw in registry.blobs.items():
        if digest not in manifests:
            pusher.push_blob(repository, raw)
    # An index comes after what it lists; its tag replaces the one that pushing a referrer made.
    for digest, raw in sorted(manifests.items(), key=lambda item: "index" in _media_type(item[1])):
        tags: list[str | None] = [tag for tag, target in registry.tags.items() if target == digest]
        for tag in tags or [None]:
            pusher.push_manifest(repository, raw, media_type=_media_type(raw), tag=tag)


def _media_type(raw: bytes) -> str:
    """Return the media type of a manifest or index, an empty text for other blobs."""
    try:
        document = json.loads(raw)
    except ValueError:
        return ""
    is_manifest = isinstance(document, dict) and document.get("schemaVersion") == 2
    return str(document["mediaType"]) if is_manifest else ""


def _resolve(folder: Path, trust: dict[str, Any]) -> dict[str, Any]:
    if trust["mode"] == "keys":
        return trust | {"public_keys": [(folder / name).read_text() for name in trust["public_keys"]]}
    return trust | {"trusted_root": trusted_root(folder)}
