"""What one account feels of another: its good deliveries beside many bad ones, its calls beside calls that hang."""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from benchmarks.ingest import one_delivery
from benchmarks.pipeline import Pipeline
from benchmarks.table import Measured, at_most, seconds
from bootpress.entrypoints.api.operations import CALLS_PER_SECOND
from tests.support.running_stack import Stack
from tests.support.silent_server import silent_server

IDLE, BUSY = 9, 5
BAD = 500
SILENT = 150
HANGING = 20
ROUNDS, ASKED = 3, 150
SETTLING = 2
PAUSE = 2 / CALLS_PER_SECOND
DELAY_BAR, ANSWER_BAR = 3, 2


def measure(stack: Stack, folder: Path) -> list[Measured]:
    """Measure one account alone, then beside another one; both on the same stack."""
    quiet, loud = stack.as_account("quiet"), stack.as_account("loud")
    pipeline = Pipeline(quiet, folder)
    one_delivery(pipeline, "first")
    idle = statistics.median(one_delivery(pipeline, f"idle-{number}") for number in range(IDLE))
    rows = [
        _beside_failures(pipeline, loud, idle),
        *_beside_hanging_calls(quiet, loud),
        _beside_silence(pipeline, loud),
    ]
    pipeline.close()
    return rows


def _beside_failures(pipeline: Pipeline, loud: Stack, idle: float) -> Measured:
    """Let another account announce what fails at once, and announce ours until all of these are finished."""
    webhook = loud.call("provision_disk_image_webhook", label="loud")
    ids = loud.announce_all(webhook, _tags("nobody", f"{loud.registry}/os/nobody", BAD))
    taken = []
    for number in range(BUSY):
        taken.append(one_delivery(pipeline, f"beside-failures-{number}"))
        if not _unfinished(loud):
            break
    loud.wait_for(ids, seconds=600)
    return _delay(f"a good delivery of another account beside {BAD} that fail at once", statistics.median(taken), idle)


def _beside_silence(pipeline: Pipeline, loud: Stack) -> Measured:
    """Let another account announce images of a registry that says nothing."""
    idle = statistics.median(one_delivery(pipeline, f"idle-again-{number}") for number in range(BUSY))
    webhook = loud.call("provision_disk_image_webhook", label="loud")
    with silent_server() as silent:
        repository = f"{silent.address}/os/silent"
        trust = pipeline.trust
        loud.call("system_create_node_platform", slug="silent", arch="amd64", oci_repository=repository, trust=trust)
        loud.announce_all(webhook, _tags("silent", repository, SILENT))
        while silent.count < 1:
            time.sleep(0.1)
        taken = [one_delivery(pipeline, f"beside-silence-{number}") for number in range(BUSY)]
    return _delay(
        f"a good delivery of another account beside {SILENT} whose registry says nothing",
        statistics.median(taken),
        idle,
    )


def _beside_hanging_calls(quiet: Stack, loud: Stack) -> list[Measured]:
    """Ask the API, alone and while calls of another account wait for a server that says nothing."""
    with httpx.Client(base_url=quiet.endpoints["api_url"], timeout=60) as client:
        asked: dict[str, Callable[[], httpx.Response]] = {
            "`/healthz`": lambda: client.get("/healthz"),
            "a list": lambda: client.post(
                "/api/v1/operations/system_list_node_platforms",
                json={},
                headers={"Authorization": f"Bearer {quiet.token}"},
            ),
        }
        alone: dict[str, list[float]] = {name: [] for name in asked}
        beside: dict[str, list[float]] = {name: [] for name in asked}
        for number in range(ROUNDS):  # in turn, so that both share the machine's moods
            _ask(asked, alone)
            over = threading.Event()
            with silent_server() as silent, ThreadPoolExecutor(HANGING) as pool:
                for call in range(HANGING):
                    pool.submit(_keep_calling, loud, f"silent-{number}-{call}", silent.address, over)
                try:
                    while silent.count < 1:
                        time.sleep(0.1)
                    _ask(asked, beside)
                finally:  # else the pool would wait for calls that never end
                    over.set()
                    silent.hang_up()
            time.sleep(SETTLING)
    return [
        Measured(
            f"{name}, p99, while {HANGING} calls of another account hang",
            seconds(_p99(beside[name])),
            f"{seconds(_p99(alone[name]))} idle",
            f"{_p99(beside[name]) / _p99(alone[name]):.2f}",
            at_most(ANSWER_BAR),
            _p99(beside[name]) / _p99(alone[name]),
        )
        for name in asked
    ]


def _keep_calling(stack: Stack, name: str, host: str, over: threading.Event) -> None:
    """Connect a registry, again whenever there is no place; without a TLS context, which would slow what measures."""
    body = json.dumps({"name": name, "host": host, "plain_http": True})
    headers = {"Authorization": f"Bearer {stack.token}", "Content-Type": "application/json"}
    address = urlsplit(stack.endpoints["api_url"])
    while not over.is_set():
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=90)
        connection.request("POST", "/api/v1/operations/system_connect_registry", body, headers)
        connection.getresponse().read()
        connection.close()


def _ask(asked: Mapping[str, Callable[[], httpx.Response]], taken: Mapping[str, list[float]]) -> None:
    """Ask in turn, more slowly than the rate limit of a token."""
    for _ in range(ASKED):
        time.sleep(PAUSE)
        for name, ask in asked.items():
            begun = time.perf_counter()
            ask().raise_for_status()
            taken[name].append(time.perf_counter() - begun)


def _p99(taken: Sequence[float]) -> float:
    return statistics.quantiles(taken, n=100)[-1]


def _tags(slug: str, repository: str, count: int) -> list[dict[str, str]]:
    return [{"platform_slug": slug, "oci_ref": f"{repository}:v{number}"} for number in range(count)]


def _unfinished(stack: Stack) -> set[str]:
    return {
        one["id"]
        for status in ("received", "processing")
        for one in stack.call("system_list_disk_image_deliveries", status=status, limit=500)["deliveries"]
    }


def _delay(what: str, taken: float, idle: float) -> Measured:
    ratio = taken / idle
    return Measured(what, seconds(taken), f"{seconds(idle)} idle", f"{ratio:.2f}", at_most(DELAY_BAR), ratio)
