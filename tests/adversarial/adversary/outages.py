"""What is not there for now: never taken for a lie, nor for the truth, and well again once it is back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bootpress.adapters.cosign.public_good import PublicGoodRoot
from bootpress.adapters.cosign.roots import TrustMaterial, read_root
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import RegistryUnavailable, TrustRootUnavailable
from tests.support.attack_scenarios import REKOR_1 as A_FORMAT
from tests.support.attack_scenarios import TRUST, VECTORS, AttackScenario, Case, Signed, recorded
from tests.support.layouts import LayoutRegistry
from tests.support.mutations import put_bundle, put_referrers, read_bundle
from tests.support.vectors import Vector

_VECTOR = VECTORS["keys-v3"]


def cases() -> Iterator[Case]:
    """Yield every case of this family."""
    for what in ("the list of referrers", "the signature's manifest", "the signature"):
        hostile = partial(_without, _VECTOR, what)
        yield recorded(f"{what} away", _VECTOR, hostile, "does not answer", error=RegistryUnavailable)
    hostile = partial(_without, _VECTOR, "the cosign 2 tag", signed=False)
    yield recorded("the cosign 2 tag away", _VECTOR, hostile, "does not answer", error=RegistryUnavailable)
    hostile = partial(_beside_a_bad_one, _VECTOR)
    yield recorded("a signature away beside a bad one", _VECTOR, hostile, "does not answer", error=RegistryUnavailable)
    for name, digest in {"the manifest": _VECTOR.digest, "a blob": _first_layer(_VECTOR)}.items():
        hostile = partial(_away, _VECTOR, digest)
        found = "manifest" if name == "the manifest" else "blobs"
        yield recorded(f"{name} away", _VECTOR, hostile, "does not answer", error=RegistryUnavailable, found=found)
    yield Case(
        "the trusted root of the public services away",
        partial(_under_public_root, away=True),
        partial(_under_public_root, away=False),
        "cannot be loaded: no route to host",
        TrustRootUnavailable,
    )


def _without(vector: Vector, what: str, *, signed: bool = True) -> LayoutRegistry:
    registry = vector.open()
    manifest = put_bundle(registry, vector.digest, read_bundle(vector))
    put_referrers(registry, vector.digest, [manifest] if signed else [])
    (layer,) = registry.fetch_manifest(vector.repository, manifest).layers
    registry.away = {
        "the list of referrers": {"referrers"},
        "the cosign 2 tag": {vector.digest.replace(":", "-") + ".sig"},
        "the signature's manifest": {manifest},
        "the signature": {layer.digest},
    }[what]
    return registry


def _beside_a_bad_one(vector: Vector) -> LayoutRegistry:
    registry = vector.open()
    good, bad = put_bundle(registry, vector.digest, read_bundle(vector)), put_bundle(registry, vector.digest, b"{}")
    put_referrers(registry, vector.digest, [bad, good])
    registry.away = {good}
    return registry


def _away(vector: Vector, digest: str) -> LayoutRegistry:
    registry = vector.open()
    registry.away = {digest}
    return registry


def _first_layer(vector: Vector) -> str:
    registry = vector.open()
    return registry.fetch_manifest(vector.repository, vector.digest).layers[0].digest


def _under_public_root(*, away: bool) -> AttackScenario:
    signed = Signed(A_FORMAT)()
    verifier = CosignVerifier(PublicGoodRoot(partial(_load, away=away)))
    return AttackScenario(signed.registry, signed.digest, TRUST | {"trusted_root": "public-good"}, verifier)


def _load(*, away: bool) -> TrustMaterial:
    if away:
        raise ConnectionError("no route\nto host")
    return read_root(TRUST["trusted_root"])
