"""What we sign looks like what cosign 3 writes, member by member, and is accepted under its key alone."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import SignatureRejected
from bootpress.core.platforms.trust import KeysTrust
from bootpress.core.ports import Descriptor
from tests.support.layouts import INDEX, MANIFEST, LayoutRegistry
from tests.support.mutations import decode, read_bundle
from tests.support.vectors import Vector

CREATED = datetime(2026, 11, 23, 9, 8, 7, tzinfo=UTC)


def shape(value: Any) -> Any:
    """Return a document with its members in order and the types, not the values, of what they hold."""
    if isinstance(value, dict):
        return [(name, shape(member)) for name, member in value.items()]
    if isinstance(value, list):
        return [shape(member) for member in value]
    return type(value).__name__


def put(key: SigningKey, vector: Vector) -> LayoutRegistry:
    registry = vector.open()
    size = len(registry.blobs[vector.digest])
    referrer = key.sign(Descriptor(MANIFEST, vector.digest, size), created=CREATED)
    for blob in referrer.blobs:
        registry.add(blob)
    children = [{"mediaType": referrer.media_type, "digest": registry.add(referrer.manifest), "size": 1}]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
    registry.add_json(index, tag=vector.digest.replace(":", "-"))
    return registry


def test_the_bundle_and_its_manifest_are_written_as_cosign_3_writes_them(vectors: dict[str, Vector]) -> None:
    vector = vectors["keys-v3"]
    registry = vector.open()
    (real,) = json.loads(registry.blobs[registry.tags[vector.digest.replace(":", "-")]])["manifests"]
    size = len(registry.blobs[vector.digest])

    ours = SigningKey.create().sign(Descriptor(MANIFEST, vector.digest, size), created=CREATED)

    theirs, mine = json.loads(registry.blobs[real["digest"]]), json.loads(ours.manifest)
    assert shape(mine) == shape(theirs)
    for member in ("mediaType", "artifactType", "config", "subject"):
        assert mine[member] == theirs[member]
    assert mine["annotations"] == theirs["annotations"] | {"org.opencontainers.image.created": "2026-11-23T09:08:07Z"}
    bundle, real_bundle = json.loads(ours.blobs[1]), read_bundle(vector)
    assert shape(bundle) == shape(real_bundle)
    assert decode(bundle["dsseEnvelope"]["payload"]) == decode(real_bundle["dsseEnvelope"]["payload"])
    assert mine["layers"][0]["digest"] == f"sha256:{hashlib.sha256(ours.blobs[1]).hexdigest()}"


def test_it_is_accepted_under_its_key_alone(vectors: dict[str, Vector]) -> None:
    vector, key = vectors["unsigned"], SigningKey.create()
    registry = put(key, vector)

    def verify(pem: str) -> str | None:
        policy = KeysTrust(mode="keys", public_keys=(pem,))
        return CosignVerifier().verify(registry, vector.repository, vector.digest, policy).signer.key_sha256

    assert verify(key.public_pem)
    with pytest.raises(SignatureRejected, match="another key"):
        verify(SigningKey.create().public_pem)


def test_the_private_key_is_in_no_repr() -> None:
    assert repr(SigningKey.create()) == "SigningKey()"
