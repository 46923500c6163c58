"""How a bundle may be written, and how not: each member that is another than cosign writes is a reason to reject it.

Bundles that lie about what was signed are in tests/adversarial/adversary.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.support.mutations import (
    Json,
    decode,
    encode,
    put_bundle,
    put_referrers,
    read_bundle,
    with_bundle,
)
from tests.support.vectors import Vector, load_vectors, trusted_root
from tests.unit.adapters.cosign.conftest import Refuse, Verify

VECTORS = load_vectors()
KINDS = ["keys-v3", "keys-v3-logged", "keyless-v3-rekor1", "keyless-v3-rekor2"]
KEYLESS = ["keyless-v3-rekor1", "keyless-v3-rekor2"]
every_kind = pytest.mark.parametrize("vector", [pytest.param(VECTORS[name], id=name) for name in KINDS])
every_keyless = pytest.mark.parametrize("vector", [pytest.param(VECTORS[name], id=name) for name in KEYLESS])


def signature(bundle: Json) -> Json:
    entry: Json = bundle["dsseEnvelope"]["signatures"][0]
    return entry


def set_payload(bundle: Json, change: Callable[[Json], object]) -> None:
    statement = decode(bundle["dsseEnvelope"]["payload"])
    change(statement)
    bundle["dsseEnvelope"]["payload"] = encode(statement)


CHANGES: dict[str, tuple[Callable[[Json], object], str]] = {
    "signature not base64": (lambda b: signature(b).update(sig="*" + signature(b)["sig"]), "is not base64"),
    "signature empty": (lambda b: signature(b).update(sig=""), "is empty"),
    "payload type prefix": (lambda b: b["dsseEnvelope"].update(payloadType="application/vnd.in-toto"), "payload type"),
    "payload empty": (lambda b: b["dsseEnvelope"].update(payload=""), "is empty"),
    "payload not JSON": (lambda b: b["dsseEnvelope"].update(payload=encode(b"hello")), "not JSON"),
    "payload with a line end": (
        lambda b: b["dsseEnvelope"].update(payload=b["dsseEnvelope"]["payload"] + "\n"),
        "not base64",
    ),
    "payload with bits behind its end": (lambda b: b["dsseEnvelope"].update(payload="e31="), "not base64"),
    "payload in another base64": (lambda b: b["dsseEnvelope"].update(payload="_w=="), "not base64"),
    "a second digest": (
        lambda b: set_payload(b, lambda s: s["subject"][0]["digest"].update(sha512="0" * 128)),
        "something else",
    ),
    "digest in capitals": (
        lambda b: set_payload(b, lambda s: s["subject"][0]["digest"].update(sha256="A" * 64)),
        "something else",
    ),
    "no subject": (lambda b: set_payload(b, lambda s: s.update(subject=[])), "no digest at all"),
    "subject an object": (lambda b: set_payload(b, lambda s: s.update(subject=s["subject"][0])), "malformed"),
    "a longer predicate type": (
        lambda b: set_payload(b, lambda s: s.update(predicateType=s["predicateType"] + "\n")),
        "attestation",
    ),
    "another statement type": (
        lambda b: set_payload(b, lambda s: s.update(_type="https://in-toto.io/Statement/v0.1")),
        "statement has type",
    ),
    "no media type": (lambda b: b.pop("mediaType"), "malformed: mediaType"),
    "unknown member": (lambda b: b.update(extra=1), "malformed: extra"),
    "envelope by its other name": (lambda b: b.update(dsse_envelope=b.pop("dsseEnvelope")), "malformed"),
    "no envelope": (lambda b: b.pop("dsseEnvelope"), "no DSSE envelope"),
    "a message signature beside": (lambda b: b.update(messageSignature={"signature": "AAAA"}), "not only one"),
    "no material": (lambda b: b.pop("verificationMaterial"), "malformed: verificationMaterial"),
    "key and certificate": (
        lambda b: b["verificationMaterial"].update(
            publicKey={"hint": ""}, certificate=b["verificationMaterial"].get("certificate", {"rawBytes": "AAAA"})
        ),
        "bare key",
    ),
}


@every_kind
@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_changed_bundle_is_rejected(vector: Vector, change: str, refuse: Refuse) -> None:
    bundle = read_bundle(vector)
    apply, reason = CHANGES[change]
    apply(bundle)
    assert reason in refuse(vector, with_bundle(vector, bundle))


def entry(bundle: Json) -> Json:
    first: Json = bundle["verificationMaterial"]["tlogEntries"][0]
    return first


def proof(bundle: Json) -> Json:
    found: Json = entry(bundle)["inclusionProof"]
    return found


def other(bundle: Json) -> Json:
    """Return the bundle of another artifact that the same kind of log took in."""
    kind = entry(bundle)["kindVersion"]["kind"]
    return read_bundle(VECTORS["foreign-workflow" if kind == "dsse" else "foreign-repository"])


def stamps(bundle: Json) -> list[Json]:
    found: list[Json] = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    return found


AUTHORITY: str = trusted_root()["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"]
PROMISE = {"signedEntryTimestamp": encode(b"promise")}
KEYLESS_CHANGES: dict[str, tuple[Callable[[Json], object], str]] = {
    "log entries missing": (lambda b: b["verificationMaterial"].pop("tlogEntries"), ""),
    "body of another artifact": (lambda b: entry(b).update(canonicalizedBody=entry(other(b))["canonicalizedBody"]), ""),
    "no body": (lambda b: entry(b).pop("canonicalizedBody"), ""),
    "another kind": (lambda b: entry(b).update(kindVersion={"kind": "intoto", "version": "0.0.2"}), ""),
    "checkpoint empty": (lambda b: proof(b)["checkpoint"].update(envelope=""), ""),
    "proof beyond the tree": (lambda b: proof(b).update(logIndex=proof(b)["treeSize"]), ""),
    "negative index": (lambda b: proof(b).update(logIndex="-1"), ""),
    "index with an underscore": (lambda b: proof(b).update(logIndex="1_0"), "malformed"),
    "index with blank space": (lambda b: proof(b).update(logIndex=" " + proof(b)["logIndex"]), "malformed"),
    "index with a sign": (lambda b: proof(b).update(logIndex="+" + proof(b)["logIndex"]), "malformed"),
    "index with a fraction": (lambda b: proof(b).update(logIndex=proof(b)["logIndex"] + ".0"), "malformed"),
    "index in Arabic digits": (lambda b: proof(b).update(logIndex="\u0661"), "malformed"),
    "size beyond 64 bits": (lambda b: proof(b).update(treeSize=str(2**63)), "malformed"),
    "proof by a name of protobuf's": (lambda b: proof(b).update(root_hash=proof(b).pop("rootHash")), "malformed"),
    "hash with a line end": (lambda b: proof(b).update(rootHash="\n" + proof(b)["rootHash"]), "malformed"),
    "hash of the other alphabet": (lambda b: proof(b).update(rootHash="_-" + proof(b)["rootHash"][2:]), "malformed"),
    "certificate with something in between": (
        lambda b: b["verificationMaterial"]["certificate"].update(
            rawBytes="M*" + b["verificationMaterial"]["certificate"]["rawBytes"][1:]
        ),
        "malformed",
    ),
    "log id missing": (lambda b: entry(b).pop("logId"), "malformed"),
    "certificate cut": (lambda b: b["verificationMaterial"]["certificate"].update(rawBytes="MIIB"), "cannot be read"),
    "a chain of certificates": (
        lambda b: b["verificationMaterial"].update(
            x509CertificateChain={"certificates": [b["verificationMaterial"].pop("certificate")]}
        ),
        "",
    ),
    "integrated time an integer": (lambda b: entry(b).update(integratedTime=1795420891), "malformed"),
    "integrated time beyond dates": (lambda b: entry(b).update(integratedTime="9" * 18, inclusionPromise=PROMISE), ""),
    "integrated time no number": (lambda b: entry(b).update(integratedTime="now", inclusionPromise=PROMISE), ""),
    "integrated time promised by nobody": (
        lambda b: entry(b).update(integratedTime="1795420891", inclusionPromise=PROMISE),
        "",
    ),
    "stamps that are none": (
        lambda b: b["verificationMaterial"].update(
            timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": encode(b"no stamp")}]}
        ),
        "",
    ),
}


@every_keyless
@pytest.mark.parametrize("change", sorted(KEYLESS_CHANGES))
def test_a_keyless_bundle_with_other_evidence_is_rejected(vector: Vector, change: str, refuse: Refuse) -> None:
    bundle = read_bundle(vector)
    apply, reason = KEYLESS_CHANGES[change]
    apply(bundle)
    assert reason in refuse(vector, with_bundle(vector, bundle))


def test_a_time_without_promise_counts_for_nothing_beside_a_stamp(verify: Verify) -> None:
    vector = VECTORS["keyless-v3-rekor1"]
    honest = verify(vector, vector.open())
    bundle = read_bundle(vector)
    del entry(bundle)["inclusionPromise"]
    entry(bundle)["integratedTime"] = "1700000000"

    found = verify(vector, with_bundle(vector, bundle))

    assert found.signed_at is not None
    assert honest.signed_at is not None
    assert abs(found.signed_at - honest.signed_at) < timedelta(seconds=5)


GOOD = json.dumps(read_bundle(VECTORS["keys-v3"])).encode()
RAW: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not JSON"),
    "no JSON": (b"<html>", "not JSON"),
    "a number": (b"1", "malformed"),
    "null": (b"null", "malformed"),
    "NaN": (b'{"mediaType": NaN}', "not JSON"),
    "not UTF-8": (b"\xff" + GOOD, "not JSON"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, "not JSON"),
    "lone surrogate": (b'{"mediaType": "\\ud800"}', "is not JSON"),
}


@pytest.mark.parametrize("name", sorted(RAW))
def test_bytes_that_are_no_bundle_are_rejected(name: str, refuse: Refuse) -> None:
    vector = VECTORS["keys-v3"]
    raw, reason = RAW[name]
    assert reason in refuse(vector, with_bundle(vector, raw))


def test_what_the_index_says_of_a_signature_is_not_looked_at(verify: Verify) -> None:
    vector = VECTORS["keys-v3"]
    registry = vector.open()
    digest = put_bundle(registry, vector.digest, GOOD, artifactType="application/spdx+json")
    put_referrers(registry, vector.digest, [digest], artifactType="text/html", annotations={"a": "b"})
    assert verify(vector, registry).signer.mode == "keys"


def test_members_in_another_order_and_blank_space_change_nothing(verify: Verify) -> None:
    vector = VECTORS["keys-v3"]
    bundle = json.dumps(dict(reversed(read_bundle(vector).items())), indent=4).encode()
    assert verify(vector, with_bundle(vector, bundle)).format == "bundle-v3"
