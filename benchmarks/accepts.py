"""Webhooks that one API process accepts in a second, beside a bare endpoint with the same HMAC and one INSERT."""

from __future__ import annotations

import hmac
import http.client
import itertools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.table import Measured, at_least
from tests.support.api import ApiServer, announcement, running_press
from tests.support.ports import free_port
from tests.support.processes import Program, listens

REQUESTS = 2000
CLIENTS = 16
ROUNDS = 5
BAR = 0.7
ANY_RATE = 1_000_000
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Where deliveries are posted, and the secret they are signed with."""

    port: int
    path: str
    secret: bytes


def measure(folder: Path) -> list[Measured]:
    """Post to both in turn."""
    with serve_ours(folder) as ours, _bare(folder, ours.secret) as bare:
        rates = [(_rate(ours), _rate(bare)) for _ in range(ROUNDS)]
    here, there = (statistics.median(column) for column in zip(*rates, strict=True))
    return [
        Measured(
            "webhooks accepted by one API process",
            f"{here:.0f}/s",
            f"{there:.0f}/s by a bare endpoint with the same HMAC and one INSERT",
            f"{here / there:.2f}",
            at_least(BAR),
            here / there,
        )
    ]


@contextmanager
def serve_ours(
    folder: Path, prepare: Callable[[ApiServer], object] = lambda _: None, **settings: str
) -> Iterator[WebhookTarget]:
    """Run the API process on a new catalog, prepared before; no Prefect answers, so nothing but accepting is done."""
    database = f"sqlite:///{folder / 'catalog.db'}"
    with running_press(database) as press:
        bell = press.provision()
        prepare(press)
        key = press.settings.encryption_key
    if key is None:
        raise AssertionError("a served press has a key")
    port = free_port()
    environment = {
        "BOOTPRESS_HOME": str(folder / "home"),
        "BOOTPRESS_DATABASE_URL": database,
        "BOOTPRESS_ENCRYPTION_KEY": key.get_secret_value(),
        "BOOTPRESS_PORT": str(port),
        "BOOTPRESS_WEBHOOK_RATE": str(ANY_RATE),
        "BOOTPRESS_WEBHOOK_BURST": str(ANY_RATE),
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
    } | settings
    with _serving("bootpress.entrypoints.api.server", port, environment, folder):
        yield WebhookTarget(port, bell.path, bell.secret.encode())


@contextmanager
def _bare(folder: Path, secret: bytes) -> Iterator[WebhookTarget]:
    port = free_port()
    environment = {"BARE_DATABASE": str(folder / "bare.db"), "BARE_SECRET": secret.decode(), "BARE_PORT": str(port)}
    with _serving("benchmarks.bare", port, environment, folder):
        yield WebhookTarget(port, "/", secret)


@contextmanager
def _serving(module: str, port: int, environment: dict[str, str], folder: Path) -> Iterator[None]:
    words = [sys.executable, "-m", module]
    with Program(words, log=folder / f"{module}.log", env=dict(os.environ) | environment) as program:
        program.wait_until(lambda: listens(port), what="it listens")
        yield


def _rate(door: WebhookTarget) -> float:
    """Return how many deliveries were answered in a second; each has a body of its own."""
    bodies = [json.dumps(announcement(run_id=next(_numbers))).encode() for _ in range(REQUESTS)]
    signed = [(body, hmac.digest(door.secret, body, "sha256").hex()) for body in bodies]
    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda part: _post(door, part), [signed[first::CLIENTS] for first in range(CLIENTS)]))
    return REQUESTS / (time.perf_counter() - begun)


def _post(door: WebhookTarget, signed: Sequence[tuple[bytes, str]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
    for body, signature in signed:
        headers = {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}
        connection.request("POST", door.path, body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != http.client.ACCEPTED:
            raise AssertionError(f"a delivery was answered with {answer.status}")
    connection.close()
