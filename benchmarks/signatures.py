"""A signature check of each kind, beside a process of real cosign that checks the same one in the same registry."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.table import Measured, share
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.adapters.oci import OciRegistries
from bootpress.core.ports import Registry, RegistryConnection
from bootpress.core.references import Repository
from tests.support import services
from tests.support.registry import running_registry
from tests.support.vectors import VECTORS, Vector, load_vectors, push_vector

KINDS = {
    "keyless-v2": "keyless, cosign 2",
    "keyless-v3-rekor2": "keyless, cosign 3",
    "keys-v2": "key, cosign 2",
    "keys-v3": "key, cosign 3",
}
ROUNDS = 15
WITH_FETCHES, ALONE = 0.35, 0.1


def measure(folder: Path) -> list[Measured]:
    """Measure the four kinds, ours and cosign's in turn."""
    registries, vectors = OciRegistries(), load_vectors()
    rows = []
    with running_registry(folder / "signatures") as host:
        connection = RegistryConnection("bench", host)
        for name, kind in KINDS.items():
            repository = Repository(host, f"bench/{name}")
            push_vector(registries.open_pusher(connection), repository, vectors[name])
            rows += _measure_kind(kind, vectors[name], registries.open(connection), repository, folder)
    registries.close()
    return rows


def _measure_kind(
    kind: str, vector: Vector, registry: Registry, repository: Repository, folder: Path
) -> list[Measured]:
    verifier, policy, local = CosignVerifier(), vector.policy, vector.open()
    words = [str(services.require("cosign3")), "verify", *_options(vector, folder), repository.at(vector.digest)]
    acts: dict[str, Callable[[], object]] = {
        "fetched": lambda: verifier.verify(registry, repository, vector.digest, policy),
        "alone": lambda: verifier.verify(local, vector.repository, vector.digest, policy),
        "cosign": lambda: subprocess.run(words, check=True, capture_output=True, env={"HOME": str(folder)}, timeout=60),
    }
    medians = _in_turn(acts)
    return [
        share(
            f"signature check, {kind}, with its registry fetches",
            medians["fetched"],
            medians["cosign"],
            beside="`cosign verify`",
            bar=WITH_FETCHES,
        ),
        share("the same, without them", medians["alone"], medians["cosign"], beside="`cosign verify`", bar=ALONE),
    ]


def _in_turn(acts: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median seconds of each act; what disturbs the machine meanwhile disturbs all of them."""
    times: dict[str, list[float]] = {name: [] for name in acts}
    for act in acts.values():
        act()
    for _ in range(ROUNDS):
        for name, act in acts.items():
            begun = time.perf_counter()
            act()
            times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _options(vector: Vector, folder: Path) -> list[str]:
    trust = vector.trust
    if trust["mode"] == "keys":
        key = folder / f"{vector.name}.pub"
        key.write_text(trust["public_keys"][0])
        return [f"--key={key}", "--insecure-ignore-tlog=true"]
    return [
        f"--certificate-identity-regexp={trust['cosign_identity_regexp']}",
        f"--certificate-oidc-issuer-regexp={trust['cosign_issuer_regexp']}",
        f"--trusted-root={VECTORS / 'trusted_root.json'}",
    ]
