"""The adapter's whole check of a signature, sigstore's part included, with changed bytes in the signature's place.

Every image here was signed honestly, and the policies trust everybody who signed one of them. So whatever is accepted
must say of its image what was recorded: the payload, the signer, a moment that log or time stamp proved; never what
the changed bytes would have.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from rfc3161_client import decode_timestamp_response

from bootpress.adapters.cosign import keyless, legacy_keyless
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core import strict_json
from bootpress.core.errors import InvalidInput, SignatureRejected
from bootpress.core.platforms.trust import KeylessTrust, KeysTrust
from bootpress.core.ports import VerifiedSignature
from tests.fuzz import seeds
from tests.support.layouts import LayoutRegistry
from tests.support.mutations import LOG_ENTRY, put_bundle, put_legacy, put_referrers, read_bundle, read_legacy
from tests.support.vectors import Vector, trusted_root

SEEN = (keyless, legacy_keyless)
"""Imported here, though the adapter imports them where they are first used: atheris sees what is imported early."""
OF_ANOTHER = "it is a signature of something else"
_VERIFIER = CosignVerifier()
_ANYBODY = "(?s).*"
_KEYLESS = KeylessTrust(
    mode="keyless", cosign_identity_regexp=_ANYBODY, cosign_issuer_regexp=_ANYBODY, trusted_root=trusted_root()
)
_KEYS = KeysTrust(mode="keys", public_keys=tuple(seeds.VECTORS["keys-rotation"].trust["public_keys"]))


@dataclass(frozen=True, slots=True)
class Format:
    """How one version of cosign leaves a signature, as one text that can be changed as a whole."""

    write: Callable[[Vector], bytes]
    """Returns the recorded signature."""
    put: Callable[[LayoutRegistry, str, bytes], object]
    """Stores bytes as the only signature of a digest."""
    payload: Callable[[bytes], bytes]
    """Returns what is signed, of a signature that was accepted."""
    moments: Callable[[bytes], set[datetime]]
    """Returns when a recorded signature was signed, by everybody who says so."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What an honest signature says."""

    found: VerifiedSignature
    payload: bytes
    moments: frozenset[datetime | None]


class Judge:
    """Verifies bytes as the signature of each of a few recorded images."""

    def __init__(self, form: Format, names: Sequence[str]) -> None:
        self._form = form
        self._vectors = [seeds.VECTORS[name] for name in names]
        self._recorded = functools.cache(self._read_recorded)

    def seeds(self) -> list[bytes]:
        """Return the signatures as they were recorded."""
        return [self._form.write(vector) for vector in self._vectors]

    def read(self, raw: bytes) -> None:
        """Make sure that what is accepted says what was recorded; SignatureRejected if nothing is."""
        refusals = []
        for position, vector in enumerate(self._vectors):
            try:
                found = self._verify(vector, raw)
            except SignatureRejected as refusal:
                # not the refusal itself, which keeps what it is about alive
                refusals.append(SignatureRejected(refusal.message, hint=refusal.hint))
                continue
            honest = self._recorded(position)
            # Where the signature lies changes with its bytes; with the word of one witness gone, another's counts.
            assert found == replace(honest.found, manifest_digest=found.manifest_digest, signed_at=found.signed_at)
            assert found.signed_at in honest.moments
            assert self._form.payload(raw) == honest.payload
        if len(refusals) == len(self._vectors):
            # Most say that it is of another image; what is wrong with it says the image that it is of.
            raise next((refusal for refusal in refusals if OF_ANOTHER not in refusal.message), refusals[0])

    def _read_recorded(self, position: int) -> Recorded:
        vector = self._vectors[position]
        raw = self._form.write(vector)
        found = self._verify(vector, raw)
        moments = {None} if found.signed_at is None else self._form.moments(raw)
        return Recorded(found, self._form.payload(raw), frozenset(moments))

    def _verify(self, vector: Vector, raw: bytes) -> VerifiedSignature:
        registry = LayoutRegistry()
        self._form.put(registry, vector.digest, raw)
        policy = _KEYLESS if vector.trust["mode"] == "keyless" else _KEYS
        return _VERIFIER.verify(registry, vector.repository, vector.digest, policy)


def _write_bundle(vector: Vector) -> bytes:
    return json.dumps(read_bundle(vector)).encode()


def _put_bundle(registry: LayoutRegistry, digest: str, raw: bytes) -> None:
    put_referrers(registry, digest, [put_bundle(registry, digest, raw)])


def _signed_by_bundle(raw: bytes) -> bytes:
    return base64.b64decode(json.loads(raw)["dsseEnvelope"]["payload"])


def _moments_of_bundle(raw: bytes) -> set[datetime]:
    material = json.loads(raw)["verificationMaterial"]
    promised = [entry["integratedTime"] for entry in material["tlogEntries"] if "integratedTime" in entry]
    stamps = [stamp["signedTimestamp"] for stamp in material["timestampVerificationData"]["rfc3161Timestamps"]]
    read = [decode_timestamp_response(base64.b64decode(stamp)).tst_info.gen_time for stamp in stamps]
    return {*read, *(datetime.fromtimestamp(int(seconds), UTC) for seconds in promised)}


def _write_legacy(vector: Vector) -> bytes:
    payload, annotations = read_legacy(vector)
    return json.dumps({"payload": payload.decode(), "annotations": annotations}).encode()


def _put_legacy(registry: LayoutRegistry, digest: str, raw: bytes) -> None:
    payload, annotations = _read_legacy(raw)
    put_legacy(registry, digest, (payload, annotations))


def _read_legacy(raw: bytes) -> tuple[bytes, Any]:
    """Return payload and annotations; what is neither has no way into a registry."""
    try:
        stated = strict_json.parse(raw, what="it")
        return stated["payload"].encode(), stated["annotations"]
    except (InvalidInput, TypeError, KeyError, AttributeError) as error:
        raise SignatureRejected("it cannot be put into a registry") from error


def _moments_of_legacy(raw: bytes) -> set[datetime]:
    entry = json.loads(json.loads(raw)["annotations"][LOG_ENTRY])
    return {datetime.fromtimestamp(entry["Payload"]["integratedTime"], UTC)}


BUNDLE = Format(_write_bundle, _put_bundle, _signed_by_bundle, _moments_of_bundle)
LEGACY = Format(_write_legacy, _put_legacy, lambda raw: _read_legacy(raw)[0], _moments_of_legacy)
KEYLESS_BUNDLES = Judge(BUNDLE, ["keyless-v3-rekor1", "keyless-v3-rekor2", "foreign-workflow"])
KEYED_BUNDLES = Judge(BUNDLE, ["keys-v3-logged", "keys-v3", "wrong-key"])
LEGACY_SIGNATURES = Judge(LEGACY, ["keyless-v2", "keyless-v2-foreign", "keys-v2-logged", "keys-v2"])
