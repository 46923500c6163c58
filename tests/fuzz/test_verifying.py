"""The judge of changed signatures, judged: it would find a change that is believed, and changes reach every check."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from bootpress.core.errors import SignatureRejected
from tests.fuzz import seeds, verifying
from tests.fuzz.mutations import change
from tests.support.layouts import LayoutRegistry
from tests.support.mutations import put_legacy, read_legacy

BOTH = seeds.VECTORS["both-formats"]
"""Signed as cosign 3 does, and as cosign 2 does."""


def put(registry: LayoutRegistry, digest: str, raw: bytes) -> None:
    """Store bytes as the bundle of an image, and for one text a signature that says something else of it."""
    if raw == b"!":
        put_legacy(registry, digest, read_legacy(BOTH))
    else:
        verifying.BUNDLE.put(registry, digest, raw)


def test_a_signature_that_is_accepted_and_says_something_else_is_found() -> None:
    judge = verifying.Judge(replace(verifying.BUNDLE, put=put), [BOTH.name])
    judge.read(*judge.seeds())
    with pytest.raises(AssertionError):
        judge.read(b"!")


CHECKS = {
    "DSSE: invalid signature",
    "inclusion proof contains invalid root hash",
    "inclusion proof has wrong size",
    "SET: invalid inclusion promise",
    "not enough sources of verified time",
    "no transparency log",
    "transparency log entry is inconsistent",
    "the envelope has payload type",
    "the envelope has 2 signatures",
    "malformed",
}
"""A part of what each says that refuses a bundle: sigstore's checks and ours."""


def test_changed_bundles_come_as_far_as_every_check() -> None:
    """A change that the first reader refuses tries nothing of what comes behind it."""
    chance, bundles = Random(7), verifying.KEYLESS_BUNDLES.seeds()  # noqa: S311 - the same changes every time
    reasons, accepted = [], 0
    for _ in range(1200):
        try:
            verifying.KEYLESS_BUNDLES.read(change(chance.choice(bundles), bundles, chance))
            accepted += 1
        except SignatureRejected as refusal:
            reasons.append(refusal.message)
    assert {check for check in CHECKS if not any(check in reason for reason in reasons)} == set()
    assert accepted > 10
