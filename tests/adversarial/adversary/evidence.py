"""What logs and timestamp authorities say of a signature, when they do not say it, or say it of something else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta

from tests.support.attack_scenarios import (
    BUNDLES,
    COSIGN_2,
    REKOR_1,
    REKOR_2,
    SERVICES,
    Case,
    Reason,
    told,
    told_in_turn,
)
from tests.support.mutations import flip
from tests.support.sigstore_services import NOW, Json, Lies, StampAuthority
from tests.support.sigstore_services.encoding import base64_text, make_key
from tests.support.sigstore_services.stamps import REJECTION

_SECOND = timedelta(seconds=1)
_BEFORE, _AFTER = NOW - _SECOND, NOW + timedelta(minutes=10) + _SECOND
_OTHER_DIGEST = "sha256:" + "cd" * 32
_INCONSISTENT = "inconsistent with other materials"


def cases() -> Iterator[Case]:
    """Yield every case of this family."""
    yield from _bodies()
    yield from _proofs()
    yield from _promises()
    yield from _stamps()


def _bodies() -> Iterator[Case]:
    kind = {
        REKOR_1: "only supported for dsse",
        REKOR_2: "Unsupported DSSE log entry type",
        COSIGN_2: "not a hashedrekord 0.0.1",
    }
    version = dict.fromkeys(BUNDLES, "Expected log entry version") | {COSIGN_2: "not a hashedrekord 0.0.1"}
    signature = {REKOR_1: "signatures do not match", REKOR_2: _INCONSISTENT, COSIGN_2: "of another signature"}
    payload = {REKOR_1: "payload hash does not match", REKOR_2: _INCONSISTENT, COSIGN_2: "of another payload"}
    certificate = {REKOR_1: "signatures do not match", REKOR_2: _INCONSISTENT, COSIGN_2: "of another certificate"}
    yield from told("an entry of another kind", Lies(change_entry=lambda b: b.update(kind="intoto")), kind)
    yield from told("an entry of another version", Lies(change_entry=lambda b: b.update(apiVersion="0.0.9")), version)
    yield from told("an entry of another signature", Lies(change_entry=_swap_signature), signature)
    yield from told("an entry of another payload", Lies(change_entry=_swap_payload), payload)
    yield from told("an entry of another certificate", Lies(change_entry=_swap_certificate), certificate)


def _swap_signature(body: Json) -> None:
    other = base64_text(b"another signature")
    match body["spec"]:
        case {"signatures": [first]}:
            first["signature"] = other
        case {"hashedRekordV002": {"signature": signature}} | {"signature": signature}:
            signature["content"] = other


def _swap_payload(body: Json) -> None:
    match body["spec"]:
        case {"payloadHash": hashed} | {"data": {"hash": hashed}}:
            hashed["value"] = "0" * 64
        case {"hashedRekordV002": {"data": data}}:
            data["digest"] = base64_text(bytes(32))


def _swap_certificate(body: Json) -> None:
    other = SERVICES.issue()
    match body["spec"]:
        case {"signatures": [first]}:
            first["verifier"] = base64_text(other.pem.encode())
        case {"hashedRekordV002": {"signature": {"verifier": verifier}}}:
            verifier["x509Certificate"]["rawBytes"] = other.der
        case {"signature": {"publicKey": key}}:
            key["content"] = base64_text(other.pem.encode())


def _entry(bundle: Json) -> Json:
    found: Json = bundle["verificationMaterial"]["tlogEntries"][0]
    return found


def _proof(bundle: Json) -> Json:
    found: Json = _entry(bundle)["inclusionProof"]
    return found


def _sign_by_other_log(bundle: Json) -> None:
    """Let the other log, which the root names too, sign the same checkpoint."""
    other = SERVICES.timeless_log if "integratedTime" in _entry(bundle) else SERVICES.log
    note = _proof(bundle)["checkpoint"]["envelope"].split("\n\n")[0] + "\n"
    _proof(bundle)["checkpoint"]["envelope"] = other.sign_checkpoint(note)


def _take_entry_of_another(bundle: Json) -> None:
    rekor = 1 if "integratedTime" in _entry(bundle) else 2
    other = SERVICES.make_bundle(_OTHER_DIGEST, rekor=rekor)
    bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]


def _take_checkpoint_of_another(bundle: Json) -> None:
    rekor = 1 if "integratedTime" in _entry(bundle) else 2
    _proof(bundle)["checkpoint"] = _proof(SERVICES.make_bundle(_OTHER_DIGEST, rekor=rekor))["checkpoint"]


_PROOFS: dict[str, tuple[Callable[[Json], object], Reason]] = {
    "no log entry": (
        lambda b: b["verificationMaterial"].update(tlogEntries=[]),
        {REKOR_1: "neither a log nor a time", REKOR_2: "0 log entries"},
    ),
    "an entry of another artifact": (
        _take_entry_of_another,
        {REKOR_1: "payload hash does not match", REKOR_2: _INCONSISTENT},
    ),
    "no proof": (lambda b: _entry(b).pop("inclusionProof"), "inclusionProof"),
    "no checkpoint": (lambda b: _proof(b).pop("checkpoint"), "checkpoint"),
    "a checkpoint of another log": (_sign_by_other_log, "Signature not found for log ID"),
    "a checkpoint of another tree": (_take_checkpoint_of_another, "root hash"),
    "a root hash that was changed": (lambda b: _proof(b).update(rootHash=flip(_proof(b)["rootHash"])), "root hash"),
}


def _changed(change: Callable[[Json], object], reason: str) -> tuple[Lies, Reason]:
    return Lies(change_bundle=change), reason


_PROOFS_IN_TURN: dict[str, tuple[Lies, Reason]] = {
    "two log entries": _changed(
        lambda b: b["verificationMaterial"].update(tlogEntries=[_entry(b)] * 2), "2 log entries"
    ),
    "a checkpoint that nobody signed": _changed(
        lambda b: _proof(b)["checkpoint"].update(envelope=_proof(b)["checkpoint"]["envelope"].split("\u2014")[0]),
        "at least one signature",
    ),
    "a proof without its hashes": _changed(lambda b: _proof(b).update(hashes=[]), "wrong size"),
    "a proof with a hash that was changed": _changed(
        lambda b: _proof(b).update(hashes=[flip(_proof(b)["hashes"][0])]), "root hash"
    ),
    "a proof of another place": _changed(lambda b: _proof(b).update(logIndex="0"), "root hash"),
    "a proof of ten thousand hashes": _changed(
        lambda b: _proof(b).update(hashes=_proof(b)["hashes"] * 10_000), "wrong size"
    ),
    "a tree of five thousand digits": _changed(lambda b: _proof(b).update(treeSize="9" * 5000), "treeSize"),
    "a key beside the certificate": _changed(
        lambda b: b["verificationMaterial"].update(publicKey={"hint": ""}), "it is signed by a bare key"
    ),
    "an entry of a log that nobody knows": _changed(
        lambda b: _entry(b)["logId"].update(keyId=base64_text(b"x" * 32)), "no transparency log"
    ),
    "a checkpoint of another root that the log signed": (
        Lies(change_checkpoint=lambda text: text.replace(text.split("\n")[2], "A" * 43 + "=")),
        "root hash",
    ),
    "a checkpoint of nothing that the log signed": (
        Lies(change_checkpoint=lambda text: text.split("\n")[0] + "\n"),
        "malformed LogCheckpoint",
    ),
    "a checkpoint of no size that the log signed": (
        Lies(change_checkpoint=lambda text: text.replace("\n2\n", "\nx\n")),
        "malformed LogCheckpoint",
    ),
}


def _proofs() -> Iterator[Case]:
    for sentence, (change, reason) in _PROOFS.items():
        yield from told(sentence, Lies(change_bundle=change), reason, formats=BUNDLES)
    yield from told_in_turn(_PROOFS_IN_TURN, formats=BUNDLES)


_PROMISES: dict[str, tuple[Callable[[Json], object], str]] = {
    "a SET of which a bit was flipped": (
        lambda b: _entry(b)["inclusionPromise"].update(
            signedEntryTimestamp=flip(_entry(b)["inclusionPromise"]["signedEntryTimestamp"])
        ),
        "invalid inclusion promise",
    ),
    "an integrated time that was set a second later": (
        lambda b: _entry(b).update(integratedTime=str(int(NOW.timestamp()) + 1)),
        "invalid inclusion promise",
    ),
    "an integrated time that nobody promised": (
        lambda b: _entry(b).pop("inclusionPromise"),
        "neither a log nor a time",
    ),
    "a promise of no time": (lambda b: _entry(b).pop("integratedTime"), "neither a log nor a time"),
    "a promise of the year 1970": (lambda b: _entry(b).update(integratedTime="0"), "in use at 1970-01-01"),
    "a log index that the log did not promise": (lambda b: _entry(b).update(logIndex="7"), "invalid inclusion promise"),
}
_LEGACY_PROMISES: dict[str, tuple[Callable[[Json], object], str]] = {
    "a SET of which a bit was flipped": (
        lambda e: e.update(SignedEntryTimestamp=flip(e["SignedEntryTimestamp"])),
        "the log did not sign",
    ),
    "an integrated time that was set a second later": (
        lambda e: e["Payload"].update(integratedTime=e["Payload"]["integratedTime"] + 1),
        "the log did not sign",
    ),
    "a log index that the log did not promise": (lambda e: e["Payload"].update(logIndex=7), "the log did not sign"),
    "an entry of a log that nobody knows": (lambda e: e["Payload"].update(logID="ab" * 32), "no transparency log abab"),
    "an entry of another artifact": (
        lambda e: e.update(json.loads(SERVICES.make_legacy(_OTHER_DIGEST)[1]["dev.sigstore.cosign/bundle"])),
        "of another payload",
    ),
}


def _promises() -> Iterator[Case]:
    for sentence, (change, reason) in _PROMISES.items():
        yield from told(sentence, Lies(change_bundle=change), reason, formats=[REKOR_1])
    for sentence, (change, reason) in _LEGACY_PROMISES.items():
        yield from told(sentence, Lies(change_legacy_entry=change), reason, formats=[COSIGN_2])


Stamper = Callable[[StampAuthority, bytes], list[bytes]]
_NOT_ENOUGH = "not enough sources of verified time"
_STAMPS: dict[str, tuple[Stamper, str]] = {
    "a log without time, and no stamp": (lambda _by, _of: [], "neither a log nor a time stamp"),
    "a stamp over another signature": (lambda by, _of: [by.stamp(b"another signature", NOW)], _NOT_ENOUGH),
    "a stamp over another hash": (lambda by, of: [by.stamp(of, NOW, weak=True)], _NOT_ENOUGH),
    "a stamp that another key signed": (lambda by, of: [by.stamp(of, NOW, signer=make_key())], _NOT_ENOUGH),
    "a stamp that was refused": (lambda by, of: [by.stamp(of, NOW, status=REJECTION)], _NOT_ENOUGH),
    "a stamp of which a bit was flipped": (lambda by, of: [_flip_last(by.stamp(of, NOW))], _NOT_ENOUGH),
    "a stamp that was cut": (lambda by, of: [by.stamp(of, NOW)[:-1]], "it cannot be read"),
    "a stamp with more behind it": (lambda by, of: [by.stamp(of, NOW) + b"\0"], "it cannot be read"),
    "the same stamp twice": (lambda by, of: [by.stamp(of, NOW)] * 2, "duplicate timestamp"),
    "forty stamps": (lambda by, of: [by.stamp(of, NOW) for _ in range(40)], "too many signed timestamp"),
    "a stamp beside one from before the certificate": (
        lambda by, of: [by.stamp(of, NOW), by.stamp(of, _BEFORE)],
        "not valid",
    ),
    "a stamp beside one of a stranger's from after the certificate": (
        lambda by, of: [by.stamp(of, NOW), StampAuthority().stamp(of, _AFTER)],
        "not valid",
    ),
    "a stamp of half a megabyte": (lambda by, of: [by.stamp(of, NOW, padding=bytes(500_000))], "it cannot be read"),
}


def _stamps() -> Iterator[Case]:
    for sentence, (stamps, reason) in _STAMPS.items():
        yield from told(sentence, Lies(stamps=stamps), reason, formats=[REKOR_2])


def _flip_last(stamp: bytes) -> bytes:
    return stamp[:-1] + bytes([stamp[-1] ^ 1])
