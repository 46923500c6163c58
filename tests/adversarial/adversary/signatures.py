"""Recorded signatures of the real services that somebody changed, or moved to another image."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle

from tests.support.attack_scenarios import VECTORS, Case, recorded
from tests.support.layouts import LayoutRegistry
from tests.support.mutations import (
    CERTIFICATE,
    LOG_ENTRY,
    SIGNATURE,
    Json,
    change_log_entry,
    decode,
    encode,
    flip,
    read_bundle,
    read_legacy,
    with_bundle,
    with_legacy,
)
from tests.support.vectors import Vector, trusted_root

_REPLAYED = {
    "keys-v3": "keys-v3-logged",
    "keyless-v3-rekor1": "keyless-tag-ref",
    "keyless-v3-rekor2": "keyless-v3-rekor1",
    "keys-v2": "keys-v2-logged",
    "keyless-v2": "keyless-v2-foreign",
}
"""A case, and another image whose signature may be taken for its own."""
_BUNDLES, _LEGACY = ("keys-v3", "keyless-v3-rekor1", "keyless-v3-rekor2"), ("keys-v2", "keyless-v2")
_NOT_SIGNED = {
    "keys-v3": "signed by another key",
    "keyless-v3-rekor1": "invalid signature",
    "keyless-v3-rekor2": "invalid signature",
    "keys-v2": "signed by another key",
    "keyless-v2": "the log entry is of another",
}
"""How each says that what is there is not what was signed."""
_AUTHORITY: str = trusted_root()["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"]


def cases() -> Iterator[Case]:
    """Yield every case of this family."""
    for name in _REPLAYED:
        yield from _replayed(VECTORS[name])
    for name in _BUNDLES:
        yield from _changed_bundles(VECTORS[name])
    for (sentence, (change, reason)), name in zip(_CHANGES_IN_TURN.items(), cycle(_BUNDLES), strict=False):
        yield _changed_bundle(sentence, VECTORS[name], change, reason)
    for name in _LEGACY:
        yield from _changed_payloads(VECTORS[name])
    yield from _other_evidence()
    yield from _other_certificates()


def _replayed(vector: Vector) -> Iterator[Case]:
    other = VECTORS[_REPLAYED[vector.name]]
    hostile: Callable[[], LayoutRegistry]
    grafted: Callable[[], LayoutRegistry]
    if vector.name in _LEGACY:
        hostile = partial(with_legacy, vector, read_legacy(other))
        grafted = partial(with_legacy, vector, (read_legacy(vector)[0], read_legacy(other)[1]))
    else:
        hostile, bundle = partial(with_bundle, vector, read_bundle(other)), read_bundle(other)
        bundle["dsseEnvelope"]["payload"] = read_bundle(vector)["dsseEnvelope"]["payload"]
        grafted = partial(with_bundle, vector, bundle)
    yield recorded("a replayed signature of another image", vector, hostile, "it is a signature of something else")
    reason = _NOT_SIGNED[vector.name]
    yield recorded("a signature of another image with this one's payload", vector, grafted, reason)


def _envelope(bundle: Json) -> Json:
    found: Json = bundle["dsseEnvelope"]
    return found


def _material(bundle: Json) -> Json:
    found: Json = bundle["verificationMaterial"]
    return found


def _signature(bundle: Json) -> Json:
    found: Json = _envelope(bundle)["signatures"][0]
    return found


def _state(change: Callable[[Json], object]) -> Callable[[Json], object]:
    """Change the statement inside an envelope."""

    def apply(bundle: Json) -> None:
        statement = decode(_envelope(bundle)["payload"])
        change(statement)
        _envelope(bundle)["payload"] = encode(statement)

    return apply


_SOMETHING_ELSE = "it is a signature of something else"
_OTHER = [{"digest": {"sha256": "0" * 64}}]
_CHANGES: dict[str, tuple[Callable[[Json], object], str | None]] = {
    "an envelope with no signature": (lambda b: _envelope(b).update(signatures=[]), "0 signatures"),
    "an envelope with two signatures": (lambda b: _envelope(b).update(signatures=[_signature(b)] * 2), "2 signatures"),
    "an envelope with a good and a bad signature": (
        lambda b: _envelope(b).update(signatures=[_signature(b), {"sig": "AAAA"}]),
        "2 signatures",
    ),
    "a payload type that was swapped": (
        lambda b: _envelope(b).update(payloadType="application/vnd.dev.cosign.simplesigning.v1+json"),
        "payload type 'application/vnd.dev.cosign.simple",
    ),
    "a payload that was swapped": (_state(lambda s: s.update(subject=_OTHER)), _SOMETHING_ELSE + ": sha256:000"),
}
_CHANGES_IN_TURN: dict[str, tuple[Callable[[Json], object], str | None]] = {
    "a payload with blank space behind": (
        lambda b: _envelope(b).update(payload=encode(base64.b64decode(_envelope(b)["payload"]) + b" ")),
        None,
    ),
    "a payload with another predicate": (_state(lambda s: s.update(predicate={"approved": True})), None),
    "a payload with a second subject": (_state(lambda s: s["subject"].extend(_OTHER)), _SOMETHING_ELSE),
    "an attestation in the payload": (
        _state(lambda s: s.update(predicateType="https://slsa.dev/provenance/v1")),
        "it is an attestation (https://slsa.dev/provenance/v1)",
    ),
    "a message signature in an envelope's place": (
        lambda b: b.update(messageSignature={"signature": b.pop("dsseEnvelope")["signatures"][0]["sig"]}),
        "no DSSE envelope",
    ),
    "a bundle of an unknown media type": (
        lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle.v9+json"),
        "unknown media type",
    ),
    "a bundle without evidence": (lambda b: b.update(verificationMaterial={}), "bare key"),
}


def _changed_bundles(vector: Vector) -> Iterator[Case]:
    bundle = read_bundle(vector)
    _signature(bundle).update(sig=flip(_signature(bundle)["sig"]))
    # Where the log tells no time, the stamp is the first to say that it is of another signature.
    reason = "not enough sources" if vector.name == "keyless-v3-rekor2" else _NOT_SIGNED[vector.name]
    hostile = partial(with_bundle, vector, bundle)
    yield recorded("a signature of which a bit was flipped", vector, hostile, reason)
    for sentence, (change, said) in _CHANGES.items():
        yield _changed_bundle(sentence, vector, change, said)


def _changed_bundle(sentence: str, vector: Vector, change: Callable[[Json], object], reason: str | None) -> Case:
    bundle = read_bundle(vector)
    change(bundle)
    return recorded(sentence, vector, partial(with_bundle, vector, bundle), reason or _NOT_SIGNED[vector.name])


def _critical(change: Callable[[Json], object]) -> Callable[[bytes], bytes]:
    """Change what is critical in a cosign 2 payload."""

    def apply(payload: bytes) -> bytes:
        document = json.loads(payload)
        change(document["critical"])
        return json.dumps(document).encode()

    return apply


_PAYLOADS: dict[str, tuple[Callable[[bytes], bytes], str | None]] = {
    "a payload that was swapped": (
        _critical(lambda c: c["image"].update({"docker-manifest-digest": "sha256:" + "0" * 64})),
        _SOMETHING_ELSE + ": sha256:000",
    ),
    "a payload type that was swapped": (
        _critical(lambda c: c.update(type="atomic container signature")),
        "the payload has type 'atomic",
    ),
    "a payload with another reference": (
        _critical(lambda c: c["identity"].update({"docker-reference": "registry.example/os"})),
        None,
    ),
    "a payload with blank space behind": (lambda payload: payload + b" ", None),
}


def _changed_payloads(vector: Vector) -> Iterator[Case]:
    payload, annotations = read_legacy(vector)
    for sentence, (change, reason) in _PAYLOADS.items():
        hostile = partial(with_legacy, vector, (change(payload), annotations))
        yield recorded(sentence, vector, hostile, reason or _NOT_SIGNED[vector.name])
    flipped = annotations | {SIGNATURE: flip(annotations[SIGNATURE])}
    hostile = partial(with_legacy, vector, (payload, flipped))
    yield recorded("a signature of which a bit was flipped", vector, hostile, _NOT_SIGNED[vector.name])


def _other_evidence() -> Iterator[Case]:
    """Yield log entries of a recorded cosign 2 signature that are of something else than it."""
    vector, (foreign_payload, foreign) = VECTORS["keyless-v2"], read_legacy(VECTORS["keyless-v2-foreign"])
    payload, annotations = read_legacy(vector)

    def logged(change: Callable[[Json], object]) -> Callable[[Json], object]:
        def apply(entry: Json) -> None:
            body = decode(entry["Payload"]["body"])
            change(body["spec"])
            entry["Payload"]["body"] = encode(body)

        return apply

    foreign_certificate, key = encode(foreign[CERTIFICATE].encode()), VECTORS["keys-v2"].trust["public_keys"][0]
    changes: dict[str, tuple[Callable[[Json], object], str]] = {
        "the entry of another artifact": (lambda e: e.update(json.loads(foreign[LOG_ENTRY])), "of another payload"),
        "an entry in which another payload was written": (
            logged(lambda s: s["data"]["hash"].update(value=hashlib.sha256(foreign_payload).hexdigest())),
            "of another payload",
        ),
        "an entry in which another hash was written": (
            logged(lambda s: s["data"]["hash"].update(algorithm="sha512")),
            "of another payload",
        ),
        "an entry in which another signature was written": (
            logged(lambda s: s["signature"].update(content=foreign[SIGNATURE])),
            "of another signature",
        ),
        "an entry in which another certificate was written": (
            logged(lambda s: s["signature"]["publicKey"].update(content=foreign_certificate)),
            "of another certificate",
        ),
        "an entry in which a key was written": (
            logged(lambda s: s["signature"]["publicKey"].update(content=encode(key.encode()))),
            "one PEM certificate",
        ),
        "an entry that was written anew": (logged(lambda _spec: None), "the log did not sign"),
    }
    for sentence, (change, reason) in changes.items():
        changed = change_log_entry(annotations, change)
        yield recorded(sentence, vector, partial(with_legacy, vector, (payload, changed)), reason)


def _other_certificates() -> Iterator[Case]:
    legacy, foreign = VECTORS["keyless-v2"], read_legacy(VECTORS["keyless-v2-foreign"])[1]
    payload, annotations = read_legacy(legacy)
    hostile = partial(with_legacy, legacy, (payload, annotations | {CERTIFICATE: foreign[CERTIFICATE]}))
    yield recorded("the certificate of another signature", legacy, hostile, "of another certificate")
    pem = f"-----BEGIN CERTIFICATE-----\n{_AUTHORITY}\n-----END CERTIFICATE-----\n"
    hostile = partial(with_legacy, legacy, (payload, annotations | {CERTIFICATE: pem}))
    yield recorded("the authority's own certificate", legacy, hostile, "of another certificate")
    for name, other in (("keyless-v3-rekor1", "keyless-tag-ref"), ("keyless-v3-rekor2", "foreign-repository")):
        vector, bundle = VECTORS[name], read_bundle(VECTORS[name])
        _material(bundle)["certificate"] = _material(read_bundle(VECTORS[other]))["certificate"]
        hostile = partial(with_bundle, vector, bundle)
        yield recorded("the certificate of another signature", vector, hostile, "not valid at validation time")
        bundle = read_bundle(vector)
        _material(bundle)["certificate"] = {"rawBytes": _AUTHORITY}
        hostile = partial(with_bundle, vector, bundle)
        yield recorded("the authority's own certificate", vector, hostile, "does not say what it is for")
