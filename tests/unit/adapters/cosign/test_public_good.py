"""The root of the public services is looked up when it is needed, once; without it everything waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootpress.adapters.cosign.public_good import PublicGoodRoot
from bootpress.adapters.cosign.roots import TrustMaterial, read_root
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import SignatureRejected, TrustRootUnavailable
from bootpress.core.platforms.trust import KeylessTrust
from tests.support.vectors import Vector, trusted_root


class Source:
    """Where the root comes from: counts how often it is asked, and fails while it is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.away = away
        self.asked = 0

    def load(self) -> TrustMaterial:
        self.asked += 1
        if self.away:
            raise ConnectionError("no route\nto host")
        return read_root(trusted_root())


def public_good(vector: Vector) -> KeylessTrust:
    return KeylessTrust.model_validate(vector.trust | {"trusted_root": "public-good"})


def test_it_is_loaded_once_for_all_signatures_and_policies(vectors: dict[str, Vector]) -> None:
    source = Source()
    verifier = CosignVerifier(PublicGoodRoot(source.load))
    for name in ("keyless-v3-rekor1", "keyless-v3-rekor2", "keyless-v2"):
        vector = vectors[name]
        verifier.verify(vector.open(), vector.repository, vector.digest, public_good(vector))
    other = vectors["keyless-v2"].trust | {"trusted_root": "public-good", "cosign_issuer_regexp": ".*"}
    vector = vectors["keyless-v2"]
    verifier.verify(vector.open(), vector.repository, vector.digest, KeylessTrust.model_validate(other))
    assert source.asked == 1


def test_without_it_a_signature_is_neither_good_nor_bad(vectors: dict[str, Vector]) -> None:
    source, now = Source(away=True), [100.0]
    verifier = CosignVerifier(PublicGoodRoot(source.load, lambda: now[0]))
    vector = vectors["keyless-v3-rekor1"]
    for _ in range(10):
        with pytest.raises(TrustRootUnavailable, match="no route to host") as caught:
            verifier.verify(vector.open(), vector.repository, vector.digest, public_good(vector))
        assert caught.value.retryable
    assert source.asked == 1, "each waits for a timeout of its own"

    source.away = False
    now[0] += 21
    verifier.verify(vector.open(), vector.repository, vector.digest, public_good(vector))
    assert source.asked == 2


def test_an_unsigned_image_is_rejected_without_it(vectors: dict[str, Vector]) -> None:
    source = Source(away=True)
    vector = vectors["unsigned"]
    with pytest.raises(SignatureRejected):
        CosignVerifier(PublicGoodRoot(source.load)).verify(
            vector.open(), vector.repository, vector.digest, public_good(vector)
        )
    assert source.asked == 0


def test_an_old_one_is_kept_while_a_new_one_cannot_be_had() -> None:
    source = Source()
    root = PublicGoodRoot(source.load)
    first = root.get()
    root._next_look = 0.0
    source.away = True

    assert root.get() is first
    assert root.get() is first
    assert source.asked == 2


def test_a_new_one_replaces_the_old_one_in_time() -> None:
    source = Source()
    root = PublicGoodRoot(source.load)
    first = root.get()
    root._next_look = 0.0
    assert root.get() is not first


def test_where_tuf_cannot_be_reached_the_root_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through sigstore itself: tests reach no network."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(TrustRootUnavailable, match="cannot be loaded"):
        PublicGoodRoot().get()
