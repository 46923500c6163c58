"""Signatures that are no documents of the right shape: cut, nested, of other types, or made to cost a lot."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from functools import partial

from tests.support.attack_scenarios import VECTORS, Case, recorded
from tests.support.layouts import INDEX, LayoutRegistry
from tests.support.mutations import (
    BUNDLE,
    LOG_ENTRY,
    SIGNATURE,
    Json,
    encode,
    put_bundle,
    put_referrers,
    read_bundle,
    read_legacy,
    with_bundle,
    with_legacy,
)
from tests.support.vectors import Vector

_MIB = 1 << 20
_DEEP_LISTS = b"[" * 100_000 + b"]" * 100_000
_DEEP_OBJECTS = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
_KEYS, _KEYLESS, _LEGACY = VECTORS["keys-v3"], VECTORS["keyless-v3-rekor1"], VECTORS["keyless-v2"]


def cases() -> Iterator[Case]:
    """Yield every case of this family."""
    yield from _bundles()
    yield from _members()
    yield from _legacy_payloads()
    yield from _legacy_entries()
    yield from _manifests()
    yield from _lists_of_referrers()


def _bundles() -> Iterator[Case]:
    good = json.dumps(read_bundle(_KEYS)).encode()
    for sentence, (raw, reason) in {
        "a bundle of truncated JSON": (good[:-20], "the bundle is not JSON"),
        "a bundle followed by another": (good * 2, "the bundle is not JSON"),
        "a bundle in a list": (b"[" + good + b"]", "the bundle is malformed"),
        "a bundle of 100,000 lists": (_DEEP_LISTS, "nested too deeply"),
        "a bundle of 100,000 objects": (_DEEP_OBJECTS, "nested too deeply"),
        "a bundle of 100,000 lists that never end": (b"[" * 100_000, "nested too deeply"),
        "a bundle of a number of 100,000 digits": (b'{"mediaType": ' + b"9" * 100_000 + b"}", "not JSON"),
        "a bundle with a member twice": (good[:-1] + b',"mediaType":"' + BUNDLE.encode() + b'"}', "twice"),
        "a bundle of 50,000 unknown members": (
            json.dumps({f"m{number}": 1 for number in range(50_000)}).encode(),
            "the bundle is malformed",
        ),
        "a bundle of more than a MiB": (good + b" " * _MIB, f"over {_MIB}"),
        "a bundle compressed to a bomb": (gzip.compress(bytes(200 * _MIB), 9), "the bundle is not JSON"),
        "a bundle compressed": (gzip.compress(good), "the bundle is not JSON"),
    }.items():
        yield recorded(sentence, _KEYS, partial(with_bundle, _KEYS, raw), reason)


def _wrap(*path: str) -> Callable[[Json], None]:
    """Put the object at this path into a list, or the list into an object."""

    def apply(bundle: Json) -> None:
        holder = bundle
        for name in path[:-1]:
            holder = holder[name]
        value = holder[path[-1]]
        holder[path[-1]] = value[0] if isinstance(value, list) else [value]

    return apply


def _members() -> Iterator[Case]:
    for path in (
        ("dsseEnvelope",),
        ("dsseEnvelope", "signatures"),
        ("dsseEnvelope", "payload"),
        ("verificationMaterial",),
        ("verificationMaterial", "certificate"),
        ("verificationMaterial", "tlogEntries"),
        ("verificationMaterial", "timestampVerificationData"),
    ):
        bundle = read_bundle(_KEYLESS)
        _wrap(*path)(bundle)
        sentence = f"a list for an object, or an object for a list, in {'.'.join(path)}"
        yield recorded(sentence, _KEYLESS, partial(with_bundle, _KEYLESS, bundle), f"malformed: {'.'.join(path)}")
    for sentence, payload in {
        "a payload of truncated JSON": b'{"_type":',
        "a payload that is a list": b"[]",
        "a payload of 100,000 lists": _DEEP_LISTS,
    }.items():
        bundle = read_bundle(_KEYS)
        bundle["dsseEnvelope"]["payload"] = encode(payload)
        yield recorded(sentence, _KEYS, partial(with_bundle, _KEYS, bundle), "the statement is")
    bundle = read_bundle(_KEYLESS)
    bundle["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"] = encode(_DEEP_LISTS)
    yield recorded(
        "a logged body of 100,000 lists", _KEYLESS, partial(with_bundle, _KEYLESS, bundle), "inclusion proof"
    )


def _legacy_payloads() -> Iterator[Case]:
    payload, annotations = read_legacy(_LEGACY)
    listed = json.loads(payload)
    listed["critical"] = [listed["critical"]]
    for sentence, (raw, reason) in {
        "a payload of truncated JSON": (payload[:-2], "the payload is not JSON"),
        "a payload that is a list": (b"[" + payload + b"]", "the payload is malformed"),
        "a payload with a list for an object": (json.dumps(listed).encode(), "malformed: critical"),
        "a payload of 100,000 lists": (_DEEP_LISTS, "nested too deeply"),
        "a payload of 100,000 objects": (_DEEP_OBJECTS, "nested too deeply"),
        "a payload of more than a MiB": (payload + b" " * _MIB, "over 10"),
    }.items():
        yield recorded(sentence, _LEGACY, partial(with_legacy, _LEGACY, (raw, annotations)), reason)
    bomb = annotations | {"note": "x" * _MIB}
    hostile = partial(with_legacy, _LEGACY, (payload, bomb))
    yield recorded("annotations of more than a MiB", _LEGACY, hostile, f"larger than {_MIB} bytes")
    hostile = partial(with_legacy, _LEGACY, *[(payload, {SIGNATURE: "AAAA"})] * 900)
    yield recorded("nine hundred signatures in one manifest", _LEGACY, hostile, "no more than 50 candidates")


def _legacy_entries() -> Iterator[Case]:
    payload, annotations = read_legacy(_LEGACY)
    entry = annotations[LOG_ENTRY]
    body = json.loads(entry)
    body["Payload"]["body"] = encode(_DEEP_LISTS)
    for sentence, (text, reason) in {
        "a log entry of truncated JSON": (entry[:-2], "the log entry is not JSON"),
        "a log entry in a list": (f"[{entry}]", "the log entry is malformed"),
        "a log entry of 100,000 lists": (_DEEP_LISTS.decode(), "nested too deeply"),
        "a log entry of 100,000 objects": (_DEEP_OBJECTS.decode(), "nested too deeply"),
        "a logged body of 100,000 lists": (json.dumps(body), "nested too deeply"),
    }.items():
        hostile = partial(with_legacy, _LEGACY, (payload, annotations | {LOG_ENTRY: text}))
        yield recorded(sentence, _LEGACY, hostile, reason)


def _manifests() -> Iterator[Case]:
    """Yield signature manifests that are none, listed as the only referrer."""
    for sentence, (raw, reason) in {
        "of truncated JSON": (b'{"schemaVersion": 2,', "is not JSON"),
        "that is a list": (b"[]", "a JSON list, not an object"),
        "of 100,000 lists": (_DEEP_LISTS, "nested too deeply"),
        "of 100,000 objects": (_DEEP_OBJECTS, "nested too deeply"),
        "of an unknown media type": (b'{"schemaVersion": 2, "mediaType": "text/html"}', "media type text/html"),
        "of more than 4 MiB": (b" " * (4 * _MIB + 1), f"larger than {4 * _MIB} bytes"),
    }.items():
        yield recorded(f"a signature's manifest {sentence}", _KEYS, partial(_refer, _KEYS, raw), reason)
    bundle = read_bundle(_KEYS)
    elsewhere = {"mediaType": INDEX, "digest": "sha256:" + "0" * 64, "size": 1}
    hostile = partial(with_bundle, _KEYS, bundle, subject=elsewhere)
    yield recorded("an index entry whose subject differs", _KEYS, hostile, "names another subject")
    hostile = partial(with_bundle, _KEYS, bundle, subject=None)
    yield recorded("an index entry without a subject", _KEYS, hostile, "names another subject")
    hostile = partial(_list_signature_of, _KEYS, VECTORS["keys-v3-logged"])
    yield recorded("an index entry that is another image's signature", _KEYS, hostile, "names another subject")
    hostile = partial(with_bundle, _KEYS, bundle, media_type="application/vnd.dev.sigstore.bundle.v9+json")
    yield recorded("a signature of an unknown media type", _KEYS, hostile, "carries no signature")
    hostile = partial(with_bundle, _KEYS, bundle, media_type="application/json")
    yield recorded("a signature of a media type that is none", _KEYS, hostile, "carries no signature")


def _refer(vector: Vector, manifest: bytes) -> LayoutRegistry:
    registry = vector.open()
    return put_referrers(registry, vector.digest, [registry.add(manifest)])


def _list_signature_of(vector: Vector, other: Vector) -> LayoutRegistry:
    registry, strange = vector.open(), other.open()
    registry.blobs.update(strange.blobs)
    registry.tags[_fallback(vector)] = strange.tags[_fallback(other)]
    return registry


def _fallback(vector: Vector) -> str:
    return vector.digest.replace(":", "-")


def _lists_of_referrers() -> Iterator[Case]:
    for sentence, (raw, reason) in {
        "of truncated JSON": (b'{"schemaVersion": 2,', "is not JSON"),
        "that is a list": (b"[]", "a JSON list, not an object"),
        "of 100,000 lists": (_DEEP_LISTS, "nested too deeply"),
        "whose manifests are an object": (b'{"schemaVersion": 2, "manifests": {}}', "is no index"),
        "of an unknown media type": (b'{"mediaType": "text/html", "manifests": []}', "is no index"),
        "of more than 4 MiB": (b" " * (4 * _MIB + 1), f"larger than {4 * _MIB} bytes"),
    }.items():
        yield recorded(f"an index of referrers {sentence}", _KEYS, partial(_index, _KEYS, raw), reason)
    yield recorded("an oversized index of referrers", _KEYS, partial(_crowd, _KEYS), "no more than 50 candidates")
    hostile = partial(_damage, _KEYS)
    yield recorded("a signature whose bytes differ from its digest", _KEYS, hostile, "other bytes than its digest says")
    hostile = partial(_stretch, _KEYS)
    yield recorded("a signature that is longer than it says", _KEYS, hostile, "bytes, not")


def _index(vector: Vector, raw: bytes) -> LayoutRegistry:
    registry = vector.open()
    registry.add(raw, tag=_fallback(vector))
    return registry


def _crowd(vector: Vector) -> LayoutRegistry:
    """Put the good signature behind 2,000 others."""
    registry = vector.open()
    bad = [put_bundle(registry, vector.digest, b"%d" % number) for number in range(2000)]
    return put_referrers(registry, vector.digest, [*bad, put_bundle(registry, vector.digest, read_bundle(vector))])


def _damage(vector: Vector) -> LayoutRegistry:
    registry = with_bundle(vector, read_bundle(vector))
    registry.blobs[_bundle_digest(registry)] += b" "
    return registry


def _stretch(vector: Vector) -> LayoutRegistry:
    """Write a size into the manifest that the bundle has not."""
    registry = with_bundle(vector, read_bundle(vector))
    layer = {"mediaType": BUNDLE, "digest": _bundle_digest(registry), "size": 10}
    return put_referrers(
        registry, vector.digest, [put_bundle(registry, vector.digest, read_bundle(vector), layers=[layer])]
    )


def _bundle_digest(registry: LayoutRegistry) -> str:
    return next(
        digest for digest, raw in registry.blobs.items() if raw.startswith(b'{"mediaType": "' + BUNDLE.encode())
    )
