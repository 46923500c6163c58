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
from pathlib import Path

from benchmarks.table import Measured, at_most, seconds, share
from bootpress.adapters.oci import Layer, OciRegistries
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository, parse_repository
from tests.support import parts
from tests.support.registry import running_registry

MIB = 1024 * 1024
LAYERS = 4
LAYER_BYTES = 256 * MIB
ROUNDS = 7
BAR = 0.85
MEMORY_BAR = 200


def measure(folder: Path) -> list[Measured]:
    """Push 1 GiB in four layers, then verify and pull it in turn."""
    with running_registry(folder / "blobs") as host:
        repository = Repository(host, "bench/large")
        digest = _push(repository, folder)
        verified, pulled, memory = [], [], 0
        for _ in range(ROUNDS):
            taken, peak = _verify_in_a_process(repository, digest)
            verified.append(taken)
            memory = max(memory, peak)
            pulled.append(_pull(repository.at(digest), folder / "pulled"))
    ours, hashed = statistics.median(verified), _hash()
    return [
        share(
            "1 GiB in 4 layers verified, nothing stored",
            ours,
            statistics.median(pulled),
            beside="`oras pull`",
            bar=BAR,
        ),
        Measured(
            "the same, beside SHA-256 alone",
            seconds(ours),
            f"{seconds(hashed)} for 1 GiB in memory",
            f"{ours / hashed:.2f}",
        ),
        Measured("the same, peak memory of the process", f"{memory} MB", "", "", at_most(MEMORY_BAR, " MB"), memory),
    ]


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


def _verify_in_a_process(repository: Repository, digest: str) -> tuple[float, int]:
    """Return seconds of the verification and MB at most in use; a process of its own, so that the peak is its own."""
    words = [sys.executable, "-m", "benchmarks.blobs", str(repository), digest]
    said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=120).stdout.split()
    return float(said[0]), int(said[1])


def _pull(reference: str, folder: Path) -> float:
    begun = time.perf_counter()
    words = [str(parts.require("oras")), "pull", "--plain-http", "--no-tty", "-o", str(folder), reference]
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
    from bootpress.core.publications.blobs import verify_all  # noqa: PLC0415 - its import is not what is measured

    registries = OciRegistries()
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
    verify(parse_repository(sys.argv[1]), sys.argv[2])
