"""How long a bad signature takes to be refused: for a webhook that is there, beside one that nobody has.

Both are asked in turn, in random order, over one connection, each time from another address, so that none is limited.
"""

from __future__ import annotations

import http.client
import math
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from benchmarks.accepts import Door, serve_ours
from benchmarks.table import Measured, around, seconds
from bootpress.core.webhooks.service import PATH

ROUNDS = 4_000
WARM_UP = 200
SURE = 1.96
"""Standard deviations of 95 %."""
RATIO, CHANCE = 0.02, 0.02
"""How far from 1, and from a coin's 0.5, the two may be."""


def measure(folder: Path) -> list[Measured]:
    """Ask both, and compare the medians and the ranks."""
    with serve_ours(folder, BOOTPRESS_TRUSTED_PROXIES="127.0.0.1") as door:
        known, unknown = _ask_both(door)
    here, there = statistics.median(known), statistics.median(unknown)
    chance, error = _slower(known, unknown)
    return [
        Measured(
            f"bad signature at a webhook that is there, median of {ROUNDS} ({_spread(known)})",
            seconds(here),
            f"{seconds(there)} at one that nobody has ({_spread(unknown)})",
            f"{here / there:.3f}",
            around(1, by=RATIO),
            here / there,
        ),
        Measured(
            "chance that the first takes longer than the second",
            f"{chance:.3f}",
            "0.5 of a coin",
            f"± {error:.3f} (95 %)",
            around(0.5, by=CHANCE),
            chance,
        ),
    ]


def _ask_both(door: Door) -> tuple[list[float], list[float]]:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(WARM_UP + ROUNDS):
        for is_known in random.sample([True, False], 2):
            path = door.path if is_known else f"{PATH}{uuid4()}"
            spent = _refused(connection, path, address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
            if number >= WARM_UP:
                taken[is_known].append(spent)
    connection.close()
    return taken[True], taken[False]


def _refused(connection: http.client.HTTPConnection, path: str, *, address: str) -> float:
    headers = {"Content-Type": "application/json", "X-Hub-Signature-256": "00" * 32, "X-Forwarded-For": address}
    begun = time.perf_counter()
    connection.request("POST", path, b'{"platform_slug": "edge", "oci_ref": "registry.example/os/edge:main"}', headers)
    answer = connection.getresponse()
    answer.read()
    spent = time.perf_counter() - begun
    if answer.status != http.client.UNAUTHORIZED:
        raise AssertionError(f"a bad signature was answered with {answer.status}")
    return spent


def _slower(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return how often one of the first is greater than one of the second, and its error (Mann and Whitney's U)."""
    ordered = sorted([(value, True) for value in first] + [(value, False) for value in second])
    ranks = sum(rank for rank, (_, is_first) in enumerate(ordered, start=1) if is_first)
    n, m = len(first), len(second)
    chance = (ranks - n * (n + 1) / 2) / (n * m)
    return chance, SURE * math.sqrt((n + m + 1) / (12 * n * m))


def _spread(taken: Sequence[float]) -> str:
    cuts = statistics.quantiles(taken, n=20)
    return f"5 % below {seconds(cuts[0])}, 5 % above {seconds(cuts[-1])}"
