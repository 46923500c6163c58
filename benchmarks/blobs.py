"""Verifying a large artifact without storing it, beside `oras pull` of it and beside SHA-256 alone."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.table import Measured, at_most, share
from bootpress.adapters.oci import Layer, Network, OciRegistries
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository, parse_repository
from tests.support import services
from tests.support.registry import running_registry
from tests.support.tls import make_tls

MIB = 1024 * 1024
LAYERS = 4
LAYER_BYTES = 256 * MIB
SECURE_NAME = "registry.test"
ROUNDS = 7
BAR = 0.85
MEMORY_BAR = 200


def measure(folder: Path) -> list[Measured]:
    """Push 1 GiB in four layers, then verify and pull it in turn: by HTTP, and from the same storage by HTTPS."""
    store, trusted = folder / "blobs", make_tls(folder, [SECURE_NAME]).file
    with running_registry(store) as host:
        repository = Repository(host, "bench/large")
        digest = _push(repository, folder)
        ours, pulled, memory = _compare(repository.at(digest), folder / "pulled", trusted, ["--plain-http"])
    with running_registry(store, tls=trusted) as address:
        host = address.replace("127.0.0.1", SECURE_NAME)
        options = ["--ca-file", str(trusted), "--resolve", f"{host}:127.0.0.1"]
        secure = _compare(f"{host}/bench/large@{digest}", folder / "pulled", trusted, options)
    hashed = _hash()
    return [
        share("1 GiB in 4 layers verified, nothing stored", ours, pulled, beside="`oras pull`", bar=BAR),
        share("the same, beside SHA-256 alone", ours, hashed, beside="for 1 GiB in memory"),
        _within("the same, peak memory of the process", memory),
        share("the same by HTTPS", secure[0], secure[1], beside="`oras pull`", bar=BAR),
        _within("the same by HTTPS, peak memory of the process", secure[2]),
    ]


def _within(what: str, memory: int) -> Measured:
    return Measured(what, f"{memory} MB", "", "", at_most(MEMORY_BAR, " MB"), memory)


def _compare(reference: str, pulled: Path, trusted: Path, options: Sequence[str]) -> tuple[float, float, int]:
    """Return seconds of a verification and of a pull, and MB at most in use by the first."""
    verifications, pulls = [], []
    for _ in range(ROUNDS):
        verifications.append(_verify_in_a_process(reference, trusted))
        pulls.append(_pull(reference, pulled, options))
    return (
        statistics.median(taken for taken, _ in verifications),
        statistics.median(pulls),
        max(peak for _, peak in verifications),
    )


def _push(repository: Repository, folder: Path) -> str:
    registries, layers = OciRegistries(), []
    for number in range(LAYERS):
        path = folder / f"layer-{number}"
        with path.open("wb") as file:
            for _ in range(LAYER_BYTES // MIB):
                file.write(os.urandom(MIB))
        layers.append(Layer(path, "application/octet-stream", path.name))
    digest = registries.open_pusher(RegistryConnection("bench", repository.host)).push_image(repository, layers)
    for layer in layers:
        layer.path.unlink()
    registries.close()
    return digest


def _verify_in_a_process(reference: str, trusted: Path) -> tuple[float, int]:
    """Return seconds of the verification and MB at most in use; a process of its own, so that the peak is its own."""
    environment = {**os.environ, "SSL_CERT_FILE": str(trusted)}
    words = [sys.executable, "-m", "benchmarks.blobs", reference]
    done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120, env=environment)
    taken, peak = done.stdout.split()
    return float(taken), int(peak)


def _pull(reference: str, folder: Path, options: Sequence[str]) -> float:
    begun = time.perf_counter()
    words = [str(services.require("oras")), "pull", *options, "--no-tty", "-o", str(folder), reference]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    taken = time.perf_counter() - begun
    shutil.rmtree(folder)
    return taken


def _hash() -> float:
    chunk, hashed, begun = os.urandom(MIB), hashlib.sha256(), time.perf_counter()
    for _ in range(LAYERS * LAYER_BYTES // MIB):
        hashed.update(chunk)
    hashed.digest()
    return time.perf_counter() - begun


def verify(repository: Repository, digest: str) -> None:
    """Verify every blob as the ingest does, and print seconds and peak memory."""
    from bootpress.core.publications.blob_verification import verify_all  # noqa: PLC0415 - its import is not what is measured

    loopback = Network(resolve=lambda _: ["127.0.0.1"], find_proxy=lambda _: None)
    registries = OciRegistries(network=loopback)
    registry = registries.open(RegistryConnection("bench", repository.host))
    begun = time.perf_counter()
    manifest = registry.fetch_manifest(repository, digest)
    verify_all(registry, repository, [blob for blob in [manifest.config, *manifest.layers] if blob])
    print(time.perf_counter() - begun, _peak_memory() // 1024)
    registries.close()


def _peak_memory() -> int:
    """Return KiB; getrusage would count what the parent had before it became this process."""
    [peak] = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(peak)


if __name__ == "__main__":
    name, _, digest = sys.argv[1].partition("@")
    verify(parse_repository(name), digest)
