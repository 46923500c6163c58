"""The judge of changed signatures itself: what it would say if a change were believed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fuzz import seeds, verifying
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
