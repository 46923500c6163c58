"""How long a bad signature takes to be refused: for webhooks of every state, beside one that nobody has.

All are asked in turn, in random order, over one connection, each round from another address, so that none is limited.
"""

from __future__ import annotations

import http.client
import math
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from benchmarks.accepts import serve_ours
from benchmarks.table import Measured, around, seconds
from bootpress.core.webhooks.models import Webhook
from bootpress.core.webhooks.service import PATH
from tests.support.api import ApiServer

ROUNDS = 4_000
WARM_UP = 200
SURE = 1.96
"""Standard deviations of 95 %."""
RATIO, CHANCE = 0.02, 0.02
"""How far from 1, and from a coin's 0.5, each may be."""
NOBODY = "that nobody has"


def measure(folder: Path) -> list[Measured]:
    """Ask all, and compare the medians and the ranks of each with those of the one that is not there."""
    paths: dict[str, str] = {}
    with serve_ours(
        folder, lambda press: paths.update(_provision(press)), BOOTPRESS_TRUSTED_PROXIES="127.0.0.1"
    ) as door:
        taken = _ask_all(door.port, paths)
    unknown = taken.pop(NOBODY)
    return [row for state, known in taken.items() for row in _compare(state, known, unknown)]


def _provision(press: ApiServer) -> dict[str, str]:
    """Make a webhook of each state that a bad signature may meet; return their paths, and that of none."""
    bells = {
        state: press.provision(state)
        for state in ("that is active", "in a rotation", "after a rotation", "that is disabled", "that is revoked")
    }
    for state in ("in a rotation", "after a rotation"):
        press.called("system_rotate_disk_image_webhook_secret", webhook_id=bells[state].webhook_id, overlap_minutes=600)
    with press.context.catalog.transaction() as session:
        rotated = session.get_one(Webhook, UUID(bells["after a rotation"].webhook_id))
        rotated.previous_secret_until = press.context.clock.now() - timedelta(hours=1)
    press.called("system_disable_disk_image_webhook", webhook_id=bells["that is disabled"].webhook_id)
    press.called("system_revoke_disk_image_webhook", webhook_id=bells["that is revoked"].webhook_id)
    # The same one each time, as with the others: an id that is new takes a little longer, whosever it is.
    return {state: bell.path for state, bell in bells.items()} | {NOBODY: f"{PATH}{uuid4()}"}


def _compare(state: str, known: Sequence[float], unknown: Sequence[float]) -> list[Measured]:
    here, there = statistics.median(known), statistics.median(unknown)
    chance, error = _slower(known, unknown)
    return [
        Measured(
            f"bad signature at a webhook {state}, median of {ROUNDS} ({_spread(known)})",
            seconds(here),
            f"{seconds(there)} at one {NOBODY}",
            f"{here / there:.3f}",
            around(1, by=RATIO),
            here / there,
        ),
        Measured(
            f"… chance that it takes longer at one {state}",
            f"{chance:.3f}",
            "0.5 of a coin",
            f"± {error:.3f} (95 %)",
            around(0.5, by=CHANCE),
            chance,
        ),
    ]


def _ask_all(port: int, paths: Mapping[str, str]) -> dict[str, list[float]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    taken: dict[str, list[float]] = {state: [] for state in paths}
    for number in range(WARM_UP + ROUNDS):
        for state in random.sample([*paths], len(paths)):
            spent = _refused(connection, paths[state], address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
            if number >= WARM_UP:
                taken[state].append(spent)
    connection.close()
    return taken


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
