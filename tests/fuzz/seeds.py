"""Real inputs of every target, from the recorded signatures of tests/assets/vectors and what forges send."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

from tests.support.json_documents import CONFIGS
from tests.support.mutations import CERTIFICATE, LOG_ENTRY, SIGNATURE, read_bundle, read_legacy
from tests.support.vectors import Vector, load_vectors, trusted_root

VECTORS = load_vectors()
KEYLESS_V2 = VECTORS["keyless-v2"]
LEGACY = [KEYLESS_V2, VECTORS["keys-v2-logged"], VECTORS["keys-v2"]]
BUNDLES = [VECTORS[name] for name in ("keyless-v3-rekor1", "keyless-v3-rekor2", "keys-v3-logged", "keys-v3")]
DIGEST = f"sha256:{'0a' * 32}"
SECRET, BODY = "whsec_0123456789", b'{"platform_slug": "edge"}'


def announcements() -> list[bytes]:
    """Return bodies of deliveries."""
    least: dict[str, Any] = {"platform_slug": "edge", "oci_ref": "/os/images:v1"}
    whole = {
        "platform_name": "edge",
        "oci_ref": f"registry.example:5000/os/images:v1@{DIGEST}",
        "oci_digest": DIGEST,
        "git_sha": "0a" * 20,
        "sha256": DIGEST.upper(),
        "size_bytes": 2**40,
        "arch": "amd64",
        "run_id": 12,
        "dispatch_id": "d-7",
        "sbom_path": "out/sbom.json",
        "sbom_digest": DIGEST,
        "firmware_ref": "",
        "unknown": {"nested": [1, 2.5, None]},
    }
    return [_write(least), _write(whole)]


def signature_headers() -> list[bytes]:
    """Return values of signature headers, in every spelling."""
    raw = hmac.digest(SECRET.encode(), BODY, "sha256")
    spellings = [base64.b64encode(raw).decode(), raw.hex(), f"sha256={raw.hex()}", f" SHA256={raw.hex().upper()}\t"]
    return [spelling.encode() for spelling in spellings]


def manifests() -> list[bytes]:
    """Return manifests and indexes: artifacts, signatures, referrers."""
    blobs = [raw for vector in (*BUNDLES, *LEGACY) for raw in vector.open().blobs.values()]
    recorded = [raw for raw in blobs if b"schemaVersion" in raw]
    child = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": DIGEST, "size": 7}
    platforms = [child | {"platform": {"architecture": name, "os": "linux"}} for name in ("amd64", "arm64")]
    docker = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": platforms,
        "annotations": {"org.opencontainers.image.created": "2026-11-22"},
    }
    return sorted({*recorded, _write(docker)})


def image_configs() -> list[bytes]:
    """Return configs of disk images and of container images."""
    return [_write(config) for _, config in CONFIGS.values()]


def indexes() -> list[bytes]:
    """Return indexes alone."""
    return [raw for raw in manifests() if b'"manifests"' in raw]


def bundles() -> list[bytes]:
    """Return bundles of cosign 3."""
    return [_write(read_bundle(vector)) for vector in BUNDLES]


def payload(vector: Vector) -> bytes:
    """Return what was signed, of either format."""
    if vector in LEGACY:
        return read_legacy(vector)[0]
    return base64.b64decode(read_bundle(vector)["dsseEnvelope"]["payload"])


def statements() -> list[bytes]:
    """Return in-toto statements, one of an attestation among them, and simple signing payloads."""
    return [payload(vector) for vector in (*BUNDLES[:2], VECTORS["attestation-only"], *LEGACY[:2])]


def legacies() -> list[bytes]:
    """Return what cosign 2 leaves: the manifest under the tag, and the payload that its layer names."""
    return [_legacy(vector) for vector in LEGACY]


def log_entries() -> list[bytes]:
    """Return annotations with Rekor's promise."""
    return [read_legacy(vector)[1][LOG_ENTRY].encode() for vector in LEGACY[:2]]


def logged() -> tuple[bytes, bytes]:
    """Return payload and signature of the first of the log entries."""
    signed, annotations = read_legacy(LEGACY[0])
    return signed, base64.b64decode(annotations[SIGNATURE])


def pem_certificates() -> list[bytes]:
    """Return certificates of Fulcio's, as PEM."""
    names = ("keyless-v2", "keyless-v2-foreign")
    return [read_legacy(VECTORS[name])[1][CERTIFICATE].encode() for name in names]


def public_keys() -> list[bytes]:
    """Return public keys as cosign writes them."""
    return [pem.encode() for pem in VECTORS["keys-rotation"].trust["public_keys"]]


def policies() -> list[bytes]:
    """Return trust policies, one with a trusted root of its own among them."""
    expressions = {"cosign_identity_regexp": r"https://forge\.example/.*", "cosign_issuer_regexp": "a|b"}
    public_good = {"mode": "keyless"} | expressions
    keys = VECTORS["keys-rotation"].trust
    return [_write(public_good), _write(public_good | {"trusted_root": trusted_root()}), _write(keys)]


def references() -> list[bytes]:
    """Return references and repositories."""
    texts = (
        "registry.example/os/images",
        f"registry.example:5000/os/images:v1.2_3-4@{DIGEST}",
        f"[::1]:5000/os__a/b.c-d@{DIGEST}",
        "localhost/os:v1",
        "/os/images:v1",
        "127.0.0.1:65535/a",
    )
    return [text.encode() for text in texts]


def documents() -> list[bytes]:
    """Return JSON of every kind of value."""
    value = {"a": [1, -2.5, 1e10, True, None, "\u00e9\n"], "b": {"c": {"d": []}}}
    return [_write(value), json.dumps(value, ensure_ascii=False).encode(), *bundles()[:1]]


def challenges() -> list[bytes]:
    """Return WWW-Authenticate headers."""
    bearer = (
        'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:os/images:pull,push"'
    )
    return [bearer.encode(), b'Basic realm="a \\"b\\""', bearer.encode() + b', Basic realm="x", Digest nonce=1']


def _legacy(vector: Vector) -> bytes:
    registry = vector.open()
    tag = f"sha256-{vector.digest.removeprefix('sha256:')}.sig"
    manifest = json.loads(registry.blobs[registry.tags[tag]])
    return _write({"manifest": manifest, "payload": payload(vector).decode()})


def _write(document: Any) -> bytes:
    return json.dumps(document).encode()
