"""How a cosign 2 signature may be written, and how not: what cosign would not read is a reason to reject it.

Signatures that lie about what was signed are in tests/adversarial/adversary.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.mutations import (
    CERTIFICATE,
    CHAIN,
    LOG_ENTRY,
    SIGNATURE,
    Json,
    change_log_entry,
    decode,
    encode,
    read_legacy,
    with_legacy,
)
from tests.support.vectors import Vector, load_vectors
from tests.unit.adapters.cosign.conftest import Refuse, Verify

VECTORS = load_vectors()
KINDS = ["keys-v2", "keys-v2-logged", "keyless-v2"]
LOGGED = ["keys-v2-logged", "keyless-v2"]
every_kind = pytest.mark.parametrize("vector", [pytest.param(VECTORS[name], id=name) for name in KINDS])
every_logged = pytest.mark.parametrize("vector", [pytest.param(VECTORS[name], id=name) for name in LOGGED])
KEYLESS = VECTORS["keyless-v2"]
FOREIGN_PAYLOAD, FOREIGN = read_legacy(VECTORS["keyless-v2-foreign"])


def image(payload: Json) -> Json:
    found: Json = payload["critical"]["image"]
    return found


PAYLOADS: dict[str, tuple[Callable[[Json], object], str]] = {
    "digest an object": (lambda p: image(p).update({"docker-manifest-digest": {}}), "malformed"),
    "digest missing": (lambda p: image(p).clear(), "malformed"),
    "no type": (lambda p: p["critical"].pop("type"), "malformed: critical.type"),
    "type a number": (lambda p: p["critical"].update(type=1), "malformed"),
    "critical null": (lambda p: p.update(critical=None), "malformed"),
    "something critical that is unknown": (lambda p: p["critical"].update(expires="2020"), "malformed"),
    "no identity": (lambda p: p["critical"].pop("identity"), "malformed"),
    "reference a number": (lambda p: p["critical"].update(identity={"docker-reference": 1}), "malformed"),
    "optional a list": (lambda p: p.update(optional=[]), "malformed"),
    "an annotation added, signature not renewed": (lambda p: p.update(optional={"a": "b"}), ""),
}


@every_kind
@pytest.mark.parametrize("change", sorted(PAYLOADS))
def test_a_changed_payload_is_rejected(vector: Vector, change: str, refuse: Refuse) -> None:
    payload, annotations = read_legacy(vector)
    document = json.loads(payload)
    apply, reason = PAYLOADS[change]
    apply(document)
    assert reason in refuse(vector, with_legacy(vector, (json.dumps(document).encode(), annotations)))


RAW_PAYLOADS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not JSON"),
    "a member twice": (FOREIGN_PAYLOAD.replace(b'"optional"', b'"critical":null,"optional"'), "twice"),
}


@every_kind
@pytest.mark.parametrize("name", sorted(RAW_PAYLOADS))
def test_bytes_that_are_no_payload_are_rejected(vector: Vector, name: str, refuse: Refuse) -> None:
    raw, reason = RAW_PAYLOADS[name]
    assert reason in refuse(vector, with_legacy(vector, (raw, read_legacy(vector)[1])))


@every_kind
@pytest.mark.parametrize("value", ["", "AAAA", "*", "é", "\ud800", "A" * 100_000, " "])
def test_a_signature_annotation_that_is_none_is_rejected(vector: Vector, value: str, refuse: Refuse) -> None:
    payload, annotations = read_legacy(vector)
    refuse(vector, with_legacy(vector, (payload, annotations | {SIGNATURE: value})))


def member(name: str, value: Any) -> Callable[[Json], object]:
    return lambda entry: entry["Payload"].update({name: value})


MISTYPED: dict[str, Callable[[Json], object]] = {
    "integrated time a string": lambda e: member("integratedTime", str(e["Payload"]["integratedTime"]))(e),
    "integrated time a fraction": lambda e: member("integratedTime", float(e["Payload"]["integratedTime"]))(e),
    "integrated time true": lambda e: e["Payload"].update(integratedTime=True),
    "integrated time null": member("integratedTime", None),
    "integrated time negative": member("integratedTime", -1),
    "integrated time beyond dates": member("integratedTime", 10**18),
    "integrated time of 5,000 digits": member("integratedTime", "X" * 5000),
    "log index a string": lambda e: member("logIndex", str(e["Payload"]["logIndex"]))(e),
    "log index a fraction": lambda e: member("logIndex", float(e["Payload"]["logIndex"]))(e),
    "log index beyond 64 bits": member("logIndex", 2**63),
    "log index that floats round": member("logIndex", 2**53),
    "log id in capitals": lambda e: member("logID", e["Payload"]["logID"].upper())(e),
    "log id with blank space": lambda e: member("logID", e["Payload"]["logID"] + " ")(e),
    "log id with a line break": lambda e: member("logID", e["Payload"]["logID"] + "\n")(e),
    "log id a number": member("logID", 1),
    "body an object": lambda e: member("body", decode(e["Payload"]["body"]))(e),
    "body not base64": member("body", "*"),
    "body a list": member("body", encode(b"[]")),
    "promise null": lambda e: e.update(SignedEntryTimestamp=None),
    "promise missing": lambda e: e.pop("SignedEntryTimestamp"),
    "payload missing": lambda e: e.pop("Payload"),
    "payload a list": lambda e: e.update(Payload=[e["Payload"]]),
    "something else beside": lambda e: e.update(extra=1),
}


@every_logged
@pytest.mark.parametrize("change", sorted(MISTYPED))
def test_a_log_entry_of_other_types_is_rejected(vector: Vector, change: str, refuse: Refuse) -> None:
    payload, annotations = read_legacy(vector)
    changed = change_log_entry(annotations, MISTYPED[change])
    refuse(vector, with_legacy(vector, (payload, changed)))


@every_logged
@pytest.mark.parametrize("text", ["", "null", "[]", "{", "[" * 100_000, '{"Payload":' * 100_000, "\ud800"])
def test_a_log_entry_that_is_none_is_rejected(vector: Vector, text: str, refuse: Refuse) -> None:
    payload, annotations = read_legacy(vector)
    refuse(vector, with_legacy(vector, (payload, annotations | {LOG_ENTRY: text})))


CERTIFICATES: dict[str, tuple[str, str]] = {
    "twice": (read_legacy(KEYLESS)[1][CERTIFICATE] * 2, "other than one PEM certificate"),
    "with an authority's": (read_legacy(KEYLESS)[1][CERTIFICATE] + FOREIGN[CHAIN], "other than one PEM certificate"),
    "after text": ("Certificate:\n" + read_legacy(KEYLESS)[1][CERTIFICATE], "other than one PEM certificate"),
    "empty": ("", "other than one PEM certificate"),
    "a key": (VECTORS["keys-v2"].trust["public_keys"][0], "other than one PEM certificate"),
    "damaged": ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "cannot be read"),
}


@pytest.mark.parametrize("name", sorted(CERTIFICATES))
def test_another_certificate_is_rejected(name: str, refuse: Refuse) -> None:
    payload, annotations = read_legacy(KEYLESS)
    certificate, reason = CERTIFICATES[name]
    assert reason in refuse(KEYLESS, with_legacy(KEYLESS, (payload, annotations | {CERTIFICATE: certificate})))


@pytest.mark.parametrize(
    ("name", "reason"),
    [(LOG_ENTRY, "carries no log entry"), (CERTIFICATE, "signed by a bare key"), (SIGNATURE, "is empty")],
)
def test_a_keyless_signature_that_lacks_something_is_rejected(name: str, reason: str, refuse: Refuse) -> None:
    payload, annotations = read_legacy(KEYLESS)
    del annotations[name]
    assert reason in refuse(KEYLESS, with_legacy(KEYLESS, (payload, annotations)))


@pytest.mark.parametrize("chain", ["", "no certificate", FOREIGN[CERTIFICATE]])
def test_the_chain_that_comes_with_a_signature_is_not_looked_at(chain: str, verify: Verify) -> None:
    payload, annotations = read_legacy(KEYLESS)
    found = verify(KEYLESS, with_legacy(KEYLESS, (payload, annotations | {CHAIN: chain})))
    assert found.signer.mode == "keyless"


def test_a_certificate_beside_a_good_key_signature_is_rejected_in_mode_keys(refuse: Refuse) -> None:
    vector = VECTORS["keys-v2"]
    payload, annotations = read_legacy(vector)
    registry = with_legacy(vector, (payload, annotations | {CERTIFICATE: FOREIGN[CERTIFICATE]}))
    assert "not signed by a bare key" in refuse(vector, registry)


def test_a_logged_key_signature_does_without_its_log_entry(verify: Verify) -> None:
    vector = VECTORS["keys-v2-logged"]
    payload, annotations = read_legacy(vector)
    del annotations[LOG_ENTRY]
    assert verify(vector, with_legacy(vector, (payload, annotations))).signer.mode == "keys"


def test_the_second_of_two_signatures_is_found(verify: Verify) -> None:
    vector = VECTORS["keys-v2"]
    payload, annotations = read_legacy(vector)
    bad = annotations | {SIGNATURE: base64.b64encode(b"nothing").decode()}
    found = verify(vector, with_legacy(vector, (payload, bad), (b"{}", {}), (payload, annotations)))
    assert found.format == "legacy-v2"
