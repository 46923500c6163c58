"""Change what a recorded case holds, as somebody who may write to the registry could."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from tests.support.layouts import INDEX, MANIFEST, LayoutRegistry
from tests.support.vectors import Vector

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
LOG_ENTRY = "dev.sigstore.cosign/bundle"
CHAIN = "dev.sigstore.cosign/chain"

Json = dict[str, Any]


def read_bundle(vector: Vector) -> Json:
    """Return the (last) bundle of a case."""
    (layer,) = _referrer_layers(vector.open(), vector)[-1]
    return _json(vector.open().blobs[layer["digest"]])


def with_bundle(vector: Vector, bundle: Json | bytes, **changes: Any) -> LayoutRegistry:
    """Return the case's registry with this bundle as its only signature."""
    registry = vector.open()
    return put_referrers(registry, vector.digest, [put_bundle(registry, vector.digest, bundle, **changes)])


def put_bundle(
    registry: LayoutRegistry, digest: str, bundle: Json | bytes, *, media_type: str = BUNDLE, **manifest: Any
) -> str:
    """Store a bundle and its referrer manifest; return the manifest's digest."""
    raw = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
    layer = {"mediaType": media_type, "digest": registry.add(raw), "size": len(raw)}
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": registry.add(b"{}"), "size": 2}
    document: Json = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": empty,
        "layers": [layer],
        "subject": {"mediaType": MANIFEST, "digest": digest, "size": len(registry.blobs.get(digest, b""))},
    }
    return registry.add_json(document | manifest)


def put_referrers(registry: LayoutRegistry, digest: str, referrers: list[str], **entry: Any) -> LayoutRegistry:
    """List manifests as the referrers of an image, and leave no cosign 2 signature."""
    children = [{"mediaType": MANIFEST, "digest": referrer, "size": 1, **entry} for referrer in referrers]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
    registry.tags.pop(digest.replace(":", "-") + ".sig", None)
    registry.add_json(index, tag=digest.replace(":", "-"))
    return registry


def read_legacy(vector: Vector) -> tuple[bytes, dict[str, str]]:
    """Return payload and annotations of the (first) cosign 2 signature of a case."""
    registry = vector.open()
    manifest = _json(registry.blobs[registry.tags[vector.digest.replace(":", "-") + ".sig"]])
    layer = manifest["layers"][0]
    return registry.blobs[layer["digest"]], layer["annotations"]


def with_legacy(vector: Vector, *signatures: tuple[bytes, dict[str, Any]]) -> LayoutRegistry:
    """Return the case's registry with these cosign 2 signatures and no others."""
    registry = vector.open()
    put_referrers(registry, vector.digest, [])
    return put_legacy(registry, vector.digest, *signatures)


def put_legacy(registry: LayoutRegistry, digest: str, *signatures: tuple[bytes, dict[str, Any]]) -> LayoutRegistry:
    """Store cosign 2 signatures of an image at their tag."""
    layers = [
        {"mediaType": SIMPLE_SIGNING, "digest": registry.add(payload), "size": len(payload), "annotations": annotations}
        for payload, annotations in signatures
    ]
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": registry.add(b"{}"), "size": 2}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": layers}
    registry.add_json(manifest, tag=digest.replace(":", "-") + ".sig")
    return registry


def change_log_entry(annotations: dict[str, str], change: Callable[[Json], object]) -> dict[str, str]:
    """Return annotations whose log entry went through `change`."""
    entry = json.loads(annotations[LOG_ENTRY])
    change(entry)
    return annotations | {LOG_ENTRY: json.dumps(entry)}


def flip(text: str, position: int = 20) -> str:
    """Flip one bit of what a base64 text holds."""
    raw = bytearray(base64.b64decode(text))
    raw[position % len(raw)] ^= 1
    return base64.b64encode(raw).decode()


def encode(content: bytes | Json) -> str:
    """Write bytes, or a JSON document, as base64."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.b64encode(raw).decode()


def decode(text: str) -> Json:
    """Read a JSON document from base64."""
    return _json(base64.b64decode(text))


def _referrer_layers(registry: LayoutRegistry, vector: Vector) -> list[list[Json]]:
    index = _json(registry.blobs[registry.tags[vector.digest.replace(":", "-")]])
    return [_json(registry.blobs[child["digest"]])["layers"] for child in index["manifests"]]


def _json(raw: bytes) -> Json:
    document: Json = json.loads(raw)
    return document
