"""The documents of docs/reference/json-documents.md: one of each, its text changed before it is stored or signed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bootpress.adapters.cosign import signed_payloads
from bootpress.adapters.cosign.bundles import encode_pae
from bootpress.core.ports import Descriptor
from tests.support.attack_scenarios import SERVICES, TRUST, AttackScenario
from tests.support.core_harness import Images
from tests.support.layouts import MANIFEST, LayoutRegistry
from tests.support.mutations import LOG_ENTRY, SIGNATURE, put_bundle, put_legacy, put_referrers
from tests.support.sigstore_services import simple_signing, statement

Change = Callable[[bytes], bytes]
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "disk image config": (
        "application/vnd.bootpress.image.config.v1+json",
        {"schemaVersion": 1, "os": "linux", "architecture": "amd64", "kernelVersion": "6.12", "cmdline": "quiet"},
    ),
    "container image config": (
        "application/vnd.oci.image.config.v1+json",
        {
            "created": "2025-06-01T00:00:00Z",
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["A=b"], "Labels": {"a": "1", "A": "2"}, "Healthcheck": {"Test": ["NONE"]}},
            "rootfs": {"type": "layers", "diff_ids": []},
            "history": [{"created_by": "/bin/sh", "empty_layer": True}],
        },
    ),
}
_FREE = {"annotations": {"note": "1", "Note": "2", "NOTE": "3"}}
"""Names of annotations are data: these are three, to Go too."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of document, in an image that is published unless the document is refused."""

    make: Callable[[Change], AttackScenario]
    names: tuple[str, ...]
    """Names in it that its readers know."""
    is_open: bool = True
    """Whether members that nobody knows are allowed."""
    integer: str | None = None
    """A member that is an integer."""
    nothing: tuple[str, ...] = ()
    """Members whose null is refused, where Go makes an empty list, object or text of it."""


def _new_images() -> Images:
    return Images(LayoutRegistry())


def _layer(images: Images) -> dict[str, Any]:
    return images.blob(b"kernel %s" % uuid4().bytes, "application/vnd.bootpress.kernel.v1", **_FREE)


def _write(document: Any) -> bytes:
    return json.dumps(document).encode()


def _manifest(change: Change) -> AttackScenario:
    images = _new_images()
    raw = images.registry.blobs[images.image(sign=False, layers=[_layer(images)])]
    digest = images.registry.add(change(_write(json.loads(raw) | _FREE)))
    images.sign(digest)
    return AttackScenario(images.registry, digest, images.trust)


def _index(change: Change) -> AttackScenario:
    images = _new_images()
    child = images.image(sign=False, layers=[_layer(images)])
    raw = images.registry.blobs[images.index({"amd64": child}, sign=False)]
    digest = images.registry.add(change(raw))
    images.sign(digest)
    return AttackScenario(images.registry, digest, images.trust)


def _config(name: str) -> Callable[[Change], AttackScenario]:
    def make(change: Change) -> AttackScenario:
        images = _new_images()
        media_type, config = CONFIGS[name]
        digest = images.image(config=change(_write(config)), config_type=media_type, layers=[_layer(images)])
        return AttackScenario(images.registry, digest, images.trust)

    return make


def _referrers(change: Change) -> AttackScenario:
    images = _new_images()
    digest = images.image(layers=[_layer(images)])
    tag = digest.replace(":", "-")
    images.registry.add(change(images.registry.blobs[images.registry.tags[tag]]), tag=tag)
    return AttackScenario(images.registry, digest, images.trust)


def _signature_manifest(change: Change) -> AttackScenario:
    images = _new_images()
    digest = images.image(sign=False, layers=[_layer(images)])
    referrer = images.key.sign(_subject(images, digest), created=datetime(2025, 6, 1, tzinfo=UTC))
    for blob in referrer.blobs:
        images.registry.add(blob)
    images.refer(digest, change(referrer.manifest))
    return AttackScenario(images.registry, digest, images.trust)


def _subject(images: Images, digest: str) -> Descriptor:
    return Descriptor(MANIFEST, digest, len(images.registry.blobs[digest]))


def _bundle(change: Change) -> AttackScenario:
    """Write a keyless bundle with everything that one may hold."""
    images = _new_images()
    digest = images.image(sign=False, layers=[_layer(images)])
    raw = change(_write(SERVICES.make_bundle(digest, rekor=2)))
    put_referrers(images.registry, digest, [put_bundle(images.registry, digest, raw)])
    return AttackScenario(images.registry, digest, TRUST)


class _Key:
    """A key that signs any bytes, as a dishonest signer may."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())

    @property
    def trust(self) -> dict[str, Any]:
        pem = self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return {"mode": "keys", "public_keys": [pem.decode()]}

    def sign(self, message: bytes) -> str:
        return base64.b64encode(self._private.sign(message, ec.ECDSA(hashes.SHA256()))).decode()


_KEY = _Key()


def _statement(change: Change) -> AttackScenario:
    images = _new_images()
    digest = images.image(sign=False, layers=[_layer(images)])
    payload = change(_write(statement(digest)))
    bundle = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "key"}},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": signed_payloads.PAYLOAD_TYPE,
            "signatures": [{"sig": _KEY.sign(encode_pae(signed_payloads.PAYLOAD_TYPE, payload))}],
        },
    }
    put_referrers(images.registry, digest, [put_bundle(images.registry, digest, _write(bundle))])
    return AttackScenario(images.registry, digest, _KEY.trust)


def _payload(change: Change) -> AttackScenario:
    images = _new_images()
    digest = images.image(sign=False, layers=[_layer(images)])
    document = simple_signing(digest) | {"optional": {"build": "1", "Build": "2"}}
    payload = change(_write(document))
    put_legacy(images.registry, digest, (payload, {SIGNATURE: _KEY.sign(payload)}))
    return AttackScenario(images.registry, digest, _KEY.trust)


def _log_entry(change: Change) -> AttackScenario:
    images = _new_images()
    digest = images.image(sign=False, layers=[_layer(images)])
    payload, annotations = SERVICES.make_legacy(digest)
    text = change(annotations[LOG_ENTRY].encode()).decode(errors="surrogateescape")
    put_legacy(images.registry, digest, (payload, annotations | {LOG_ENTRY: text}))
    return AttackScenario(images.registry, digest, TRUST)


def _logged_body(change: Change) -> AttackScenario:
    """Write a log entry beside a signature by a key: it proves nothing there, and is read all the same."""
    images = _new_images()
    digest = images.image(sign=False, layers=[_layer(images)])
    payload = _write(simple_signing(digest))
    entry = json.loads(SERVICES.make_legacy(digest)[1][LOG_ENTRY])
    body = change(base64.b64decode(entry["Payload"]["body"]))
    entry["Payload"]["body"] = base64.b64encode(body).decode()
    put_legacy(images.registry, digest, (payload, {SIGNATURE: _KEY.sign(payload), LOG_ENTRY: json.dumps(entry)}))
    return AttackScenario(images.registry, digest, _KEY.trust)


_OF_MANIFESTS = ("schemaVersion", "mediaType", "artifactType", "config", "layers", "digest", "size", "annotations")
KINDS = {
    "image manifest": Kind(_manifest, _OF_MANIFESTS, integer="size", nothing=("config", "layers", "schemaVersion")),
    "index": Kind(
        _index,
        ("schemaVersion", "mediaType", "manifests", "digest", "size", "platform", "architecture", "os", "annotations"),
        integer="schemaVersion",
        nothing=("manifests", "size"),
    ),
    "disk image config": Kind(_config("disk image config"), tuple(CONFIGS["disk image config"][1])),
    "container image config": Kind(
        _config("container image config"),
        ("architecture", "os", "config", "Env", "Labels", "Test", "rootfs", "diff_ids", "history", "created_by"),
    ),
    "list of referrers": Kind(_referrers, ("mediaType", "manifests", "digest", "size"), nothing=("manifests",)),
    "manifest of a signature": Kind(
        _signature_manifest, (*_OF_MANIFESTS, "subject"), integer="size", nothing=("layers", "subject")
    ),
    "bundle": Kind(
        _bundle,
        (
            *("mediaType", "verificationMaterial", "certificate", "rawBytes", "tlogEntries", "logId", "keyId"),
            *("kindVersion", "kind", "version", "inclusionProof", "rootHash", "treeSize", "checkpoint", "envelope"),
            *("canonicalizedBody", "timestampVerificationData", "rfc3161Timestamps", "signedTimestamp"),
            *("dsseEnvelope", "payload", "payloadType", "signatures", "sig"),
        ),
        is_open=False,
        nothing=("dsseEnvelope", "signatures", "certificate"),
    ),
    "statement": Kind(_statement, ("_type", "subject", "digest", "predicateType"), nothing=("subject", "digest")),
    "simple signing payload": Kind(
        _payload,
        ("critical", "identity", "docker-reference", "image", "docker-manifest-digest", "type", "optional"),
        is_open=False,
        nothing=("critical", "image", "docker-manifest-digest"),
    ),
    "log entry": Kind(
        _log_entry,
        ("SignedEntryTimestamp", "Payload", "body", "integratedTime", "logIndex", "logID"),
        is_open=False,
        integer="integratedTime",
        nothing=("Payload", "body"),
    ),
    "logged body": Kind(
        _logged_body,
        ("apiVersion", "kind", "spec", "data", "hash", "algorithm", "value", "signature", "content", "publicKey"),
        is_open=False,
        nothing=("spec", "data"),
    ),
}
