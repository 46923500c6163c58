"""Large blobs leave connections for what takes a moment, and end when nobody wants them any more."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bootpress.adapters.oci import Limits, OciRegistries, OciRegistry
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import Descriptor, RegistryConnection
from bootpress.core.references import Repository
from tests.support.hostile_registry import Exchange, HostileRegistry, answer, send

CONTENT = b"blob" * 1000
BLOB = Descriptor("application/octet-stream", f"sha256:{hashlib.sha256(CONTENT).hexdigest()}", len(CONTENT))
PATH = f"/v2/os/images/blobs/{BLOB.digest}"
STREAMS = 2
SECONDS = 20


class Gate:
    """Lets blobs begin, and end when it is opened; counts how many are under way."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.arrived = threading.Semaphore(0)
        self.under_way = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self.arrived.release()
        assert self.opened.wait(SECONDS)
        with self._lock:
            self.under_way -= 1
        send(CONTENT)(exchange)


@pytest.fixture
def registry(hostile: HostileRegistry) -> Iterator[OciRegistry]:
    limits = Limits(connections=STREAMS + 1, streams=STREAMS, silence_seconds=SECONDS, request_seconds=2)
    opened = OciRegistries(limits=limits)
    yield opened.open(RegistryConnection("default", hostile.host))
    opened.close()


def test_small_requests_do_not_wait_behind_blobs(
    hostile: HostileRegistry, registry: OciRegistry, target: Repository
) -> None:
    gate = Gate()
    hostile.on(PATH, *[gate] * 6)
    hostile.on("/v2/", answer(200))
    with ThreadPoolExecutor(6) as pool:
        blobs = [pool.submit(registry.verify_blob, target, BLOB) for _ in range(6)]
        for _ in range(STREAMS):
            assert gate.arrived.acquire(timeout=SECONDS)
        registry.check()
        gate.opened.set()
        for blob in blobs:
            blob.result(SECONDS)
    assert gate.most == STREAMS


def test_a_blob_that_nobody_wants_any_more_is_not_asked_for_again(
    hostile: HostileRegistry, registry: OciRegistry, target: Repository
) -> None:
    hostile.on(PATH, answer(503))
    asked = 0

    def progress(_: int) -> None:
        nonlocal asked
        asked += 1
        if hostile.asked(PATH):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        registry.verify_blob(target, BLOB, progress)
    assert len(hostile.asked(PATH)) == 1
    assert asked == 2


def test_without_a_wish_to_stop_it_is_tried_again(
    hostile: HostileRegistry, registry: OciRegistry, target: Repository
) -> None:
    hostile.on(PATH, answer(503))
    with pytest.raises(RegistryUnavailable):
        registry.verify_blob(target, BLOB, lambda _: None)
    assert len(hostile.asked(PATH)) == Limits().tries


def test_one_connection_serves_one_request_after_the_other(
    hostile: HostileRegistry, registry: OciRegistry, target: Repository
) -> None:
    hostile.on("/v2/", answer(200))
    hostile.on(PATH, answer(200, CONTENT))
    for _ in range(5):
        registry.check()
        registry.verify_blob(target, BLOB)
    assert len(hostile.requests) == 10
    assert len({request.connection for request in hostile.requests}) == 1
