"""Bundles that somebody changed after they were signed, or wrote to look signed, are rejected, each for its reason."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.support.mutations import (
    Json,
    decode,
    encode,
    flip,
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
    "signature bit flipped": (lambda b: signature(b).update(sig=flip(signature(b)["sig"])), ""),
    "signature not base64": (lambda b: signature(b).update(sig="*" + signature(b)["sig"]), "is not base64"),
    "signature empty": (lambda b: signature(b).update(sig=""), "is empty"),
    "no signature": (lambda b: b["dsseEnvelope"].update(signatures=[]), "0 signatures"),
    "two signatures": (lambda b: b["dsseEnvelope"].update(signatures=[signature(b)] * 2), "2 signatures"),
    "signatures not a list": (lambda b: b["dsseEnvelope"].update(signatures=signature(b)), "malformed"),
    "payload type swapped": (lambda b: b["dsseEnvelope"].update(payloadType="text/plain"), "payload type 'text/plain'"),
    "payload type prefix": (lambda b: b["dsseEnvelope"].update(payloadType="application/vnd.in-toto"), "payload type"),
    "payload empty": (lambda b: b["dsseEnvelope"].update(payload=""), "is empty"),
    "payload not JSON": (lambda b: b["dsseEnvelope"].update(payload=encode(b"hello")), "not JSON"),
    "payload in another base64": (lambda b: b["dsseEnvelope"].update(payload="_w=="), "not base64"),
    "payload with blank space": (
        lambda b: b["dsseEnvelope"].update(payload=encode(base64.b64decode(b["dsseEnvelope"]["payload"]) + b" ")),
        "",
    ),
    "another digest": (
        lambda b: set_payload(b, lambda s: s.update(subject=[{"digest": {"sha256": "0" * 64}}])),
        "something else: sha256:000",
    ),
    "a second subject": (
        lambda b: set_payload(b, lambda s: s["subject"].append({"digest": {"sha256": "0" * 64}})),
        "something else",
    ),
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
    "another predicate type": (
        lambda b: set_payload(b, lambda s: s.update(predicateType="https://slsa.dev/provenance/v1")),
        "attestation (https://slsa.dev/provenance/v1)",
    ),
    "a longer predicate type": (
        lambda b: set_payload(b, lambda s: s.update(predicateType=s["predicateType"] + "\n")),
        "attestation",
    ),
    "another statement type": (
        lambda b: set_payload(b, lambda s: s.update(_type="https://in-toto.io/Statement/v0.1")),
        "statement has type",
    ),
    "unknown media type": (lambda b: b.update(mediaType="application/vnd.dev.sigstore.bundle.v9+json"), "media type"),
    "no media type": (lambda b: b.pop("mediaType"), "malformed: mediaType"),
    "unknown member": (lambda b: b.update(extra=1), "malformed: extra"),
    "envelope by its other name": (lambda b: b.update(dsse_envelope=b.pop("dsseEnvelope")), "malformed"),
    "no envelope": (lambda b: b.pop("dsseEnvelope"), "no DSSE envelope"),
    "a message signature": (
        lambda b: b.update(messageSignature={"signature": b.pop("dsseEnvelope")["signatures"][0]["sig"]}),
        "no DSSE envelope",
    ),
    "a message signature beside": (lambda b: b.update(messageSignature={"signature": "AAAA"}), "not only one"),
    "no material": (lambda b: b.pop("verificationMaterial"), "malformed: verificationMaterial"),
    "empty material": (lambda b: b.update(verificationMaterial={}), ""),
    "material a list": (lambda b: b.update(verificationMaterial=[b["verificationMaterial"]]), "malformed"),
    "key and certificate": (
        lambda b: b["verificationMaterial"].update(
            publicKey={"hint": ""}, certificate=b["verificationMaterial"].get("certificate", {"rawBytes": "AAAA"})
        ),
        "",
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
    "no log entry": (lambda b: b["verificationMaterial"].update(tlogEntries=[]), "0 log entries, not one"),
    "log entries missing": (lambda b: b["verificationMaterial"].pop("tlogEntries"), ""),
    "two log entries": (lambda b: b["verificationMaterial"]["tlogEntries"].append(entry(b)), "2 log entries, not one"),
    "entry of another artifact": (lambda b: b["verificationMaterial"].update(tlogEntries=[entry(other(b))]), ""),
    "body of another artifact": (lambda b: entry(b).update(canonicalizedBody=entry(other(b))["canonicalizedBody"]), ""),
    "no body": (lambda b: entry(b).pop("canonicalizedBody"), ""),
    "another kind": (lambda b: entry(b).update(kindVersion={"kind": "intoto", "version": "0.0.2"}), ""),
    "no proof": (lambda b: entry(b).pop("inclusionProof"), ""),
    "no checkpoint": (lambda b: proof(b).pop("checkpoint"), "checkpoint"),
    "checkpoint of another size": (lambda b: proof(b).update(checkpoint=proof(other(b))["checkpoint"]), ""),
    "checkpoint empty": (lambda b: proof(b)["checkpoint"].update(envelope=""), ""),
    "checkpoint unsigned": (
        lambda b: proof(b)["checkpoint"].update(envelope=proof(b)["checkpoint"]["envelope"].split("\u2014")[0]),
        "",
    ),
    "root hash changed": (lambda b: proof(b).update(rootHash=flip(proof(b)["rootHash"])), "root hash"),
    "proof of another place": (lambda b: proof(b).update(logIndex="0"), ""),
    "proof beyond the tree": (lambda b: proof(b).update(logIndex=proof(b)["treeSize"]), ""),
    "negative index": (lambda b: proof(b).update(logIndex="-1"), ""),
    "huge tree": (lambda b: proof(b).update(treeSize="9" * 5000), ""),
    "no hashes": (lambda b: proof(b).update(hashes=[]), "inclusion proof"),
    "unknown log": (lambda b: entry(b)["logId"].update(keyId=encode(b"x" * 32)), ""),
    "log id missing": (lambda b: entry(b).pop("logId"), "malformed"),
    "certificate of another": (
        lambda b: b["verificationMaterial"].update(certificate=other(b)["verificationMaterial"]["certificate"]),
        "",
    ),
    "certificate cut": (lambda b: b["verificationMaterial"]["certificate"].update(rawBytes="MIIB"), "cannot be read"),
    "certificate an authority's": (
        lambda b: b["verificationMaterial"]["certificate"].update(rawBytes=AUTHORITY),
        "does not say what it is for",
    ),
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
    "stamps a list": (lambda b: b["verificationMaterial"].update(timestampVerificationData=[]), "malformed"),
    "a stamp on another signature": (
        lambda b: (
            b["verificationMaterial"].update(
                timestampVerificationData={"rfc3161Timestamps": stamps(read_bundle(VECTORS["foreign-workflow"]))}
            )
            or entry(b).pop("inclusionPromise", None)
        ),
        "",
    ),
    "forty stamps": (
        lambda b: b["verificationMaterial"].update(
            timestampVerificationData={"rfc3161Timestamps": stamps(read_bundle(VECTORS["foreign-workflow"])) * 40}
        ),
        "too many",
    ),
}


@every_keyless
@pytest.mark.parametrize("change", sorted(KEYLESS_CHANGES))
def test_a_keyless_bundle_with_other_evidence_is_rejected(vector: Vector, change: str, refuse: Refuse) -> None:
    bundle = read_bundle(vector)
    apply, reason = KEYLESS_CHANGES[change]
    apply(bundle)
    assert reason in refuse(vector, with_bundle(vector, bundle))


LOGGED_TIME: dict[str, Callable[[Json], object]] = {
    "later": lambda b: entry(b).update(integratedTime=str(int(entry(b)["integratedTime"]) + 1)),
    "before the certificate": lambda b: entry(b).update(integratedTime="1700000000"),
    "gone": lambda b: entry(b).pop("integratedTime"),
    "zero": lambda b: entry(b).update(integratedTime="0"),
    "promise gone": lambda b: entry(b).pop("inclusionPromise"),
    "promise changed": lambda b: entry(b)["inclusionPromise"].update(
        signedEntryTimestamp=flip(entry(b)["inclusionPromise"]["signedEntryTimestamp"])
    ),
}


@pytest.mark.parametrize("change", sorted(LOGGED_TIME))
def test_a_time_that_the_log_did_not_promise_is_rejected(change: str, refuse: Refuse) -> None:
    vector = VECTORS["keyless-v3-rekor1"]
    bundle = read_bundle(vector)
    # cosign 3 asks for a stamp as well, which would do as proof of the time.
    bundle["verificationMaterial"].pop("timestampVerificationData", None)
    LOGGED_TIME[change](bundle)
    refuse(vector, with_bundle(vector, bundle))


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


def test_a_log_without_time_needs_a_stamp(refuse: Refuse) -> None:
    vector = VECTORS["keyless-v3-rekor2"]
    bundle = read_bundle(vector)
    del bundle["verificationMaterial"]["timestampVerificationData"]
    refuse(vector, with_bundle(vector, bundle))


def test_a_stamp_whose_bytes_changed_is_rejected(refuse: Refuse) -> None:
    vector = VECTORS["keyless-v3-rekor2"]
    bundle = read_bundle(vector)
    (stamp,) = stamps(bundle)
    stamp["signedTimestamp"] = flip(stamp["signedTimestamp"], -20)
    refuse(vector, with_bundle(vector, bundle))


GOOD = json.dumps(read_bundle(VECTORS["keys-v3"])).encode()
RAW: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not JSON"),
    "no JSON": (b"<html>", "not JSON"),
    "truncated": (GOOD[:-20], "not JSON"),
    "followed by more": (GOOD + b"{}", "not JSON"),
    "a list": (b"[" + GOOD + b"]", "malformed"),
    "a number": (b"1", "malformed"),
    "null": (b"null", "malformed"),
    "NaN": (b'{"mediaType": NaN}', "not JSON"),
    "not UTF-8": (b"\xff" + GOOD, "not JSON"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, "not JSON"),
    "a member twice": (GOOD[:-1] + b',"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}', "twice"),
    "lone surrogate": (b'{"mediaType": "\\ud800"}', "is not JSON"),
    "100,000 lists": (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
    "100,000 objects": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
    "a number of 100,000 digits": (b'{"mediaType": ' + b"9" * 100_000 + b"}", "not JSON"),
    "more than 1 MiB": (GOOD + b" " * (1 << 20), "over 1048576"),
}


@pytest.mark.parametrize("name", sorted(RAW))
def test_bytes_that_are_no_bundle_are_rejected(name: str, refuse: Refuse) -> None:
    vector = VECTORS["keys-v3"]
    raw, reason = RAW[name]
    assert reason in refuse(vector, with_bundle(vector, raw))


def test_a_bundle_under_a_media_type_that_is_none_is_no_signature(refuse: Refuse) -> None:
    vector = VECTORS["keys-v3"]
    registry = with_bundle(vector, GOOD, media_type="application/json")
    assert "carries no signature" in refuse(vector, registry)


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
