"""Large blobs are read past httpcore: the rules of all blobs hold for them too, and their connections end with them."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import random
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpress.adapters.oci import Limits, Network, OciRegistries, OciRegistry
from bootpress.core.errors import ContentRejected, RegistryUnavailable
from bootpress.core.ports import Descriptor, RegistryConnection
from bootpress.core.references import Repository
from tests.integration.registry.conftest import LIMITS
from tests.support.clocks import SkippingClock
from tests.support.hostile_registry import (
    Behaviour,
    Exchange,
    HostileRegistry,
    answer,
    hostile_registry,
    manifest,
    ranged,
    redirect,
    reset,
    send,
)
from tests.support.tls import make_tls

MIB = 1 << 20
LARGE = dataclasses.replace(LIMITS, large_body=2 * MIB)
CONTENT = random.Random(2).randbytes(5 * MIB)  # noqa: S311 - the same bytes each time
SIZE = len(CONTENT)
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
BLOB = Descriptor("application/octet-stream", DIGEST, SIZE)
PATH = f"/v2/os/images/blobs/{DIGEST}"
TAG = "/v2/os/images/manifests/v1"
HEAD = f"HTTP/1.1 200 Word\r\nContent-Length: {SIZE}\r\n\r\n".encode()
OTHER = CONTENT[: 4 * MIB] + bytes([CONTENT[4 * MIB] ^ 1]) + CONTENT[4 * MIB + 1 :]


@pytest.fixture
def victim(hostile: HostileRegistry, quick: SkippingClock) -> Iterator[OciRegistry]:
    """Return our side of the hostile registry, to which a few MiB are large."""
    opened = OciRegistries(limits=LARGE, timing=quick.timing)
    yield opened.open(RegistryConnection("default", hostile.host))
    opened.close()


def ranges(hostile: HostileRegistry) -> list[str | None]:
    return [request.headers["Range"] for request in hostile.asked(PATH)]


@pytest.mark.parametrize("behaviour", [answer(200, CONTENT), redirect(f"{PATH}/moved")], ids=["here", "redirect"])
def test_a_good_blob_is_good(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, tmp_path: Path, behaviour: Behaviour
) -> None:
    hostile.on(PATH, behaviour)
    hostile.on(f"{PATH}/moved", answer(200, CONTENT))
    told: list[int] = []
    victim.download_blob(target, BLOB, tmp_path / "blob", told.append)
    assert (tmp_path / "blob").read_bytes() == CONTENT
    assert sum(told) == SIZE
    assert max(told) <= MIB


def test_it_comes_by_https_as_well(tmp_path: Path, quick: SkippingClock) -> None:
    tls = make_tls(tmp_path, ["registry.test"])
    network = Network(lambda: tls.client, lambda _: ["127.0.0.1"], lambda _: None)
    opened = OciRegistries(limits=LARGE, timing=quick.timing, network=network)
    with hostile_registry(tls.server) as secure:
        secure.on(PATH, ranged(CONTENT, stop_after=3 * MIB), ranged(CONTENT))
        host = f"registry.test:{secure.port}"
        opened.open(RegistryConnection("default", host)).verify_blob(Repository(host, "os/images"), BLOB)
        assert ranges(secure) == [None, f"bytes={3 * MIB}-"]
    opened.close()


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (answer(200, OTHER), "other bytes"),
        (answer(200, CONTENT + b"!"), f"has {SIZE + 1} bytes"),
        (answer(200, CONTENT[:-1]), f"has {SIZE - 1} bytes"),
    ],
    ids=["other", "longer", "shorter"],
)
def test_a_bad_blob_is_rejected_at_once(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, behaviour: Behaviour, why: str
) -> None:
    hostile.on(PATH, behaviour)
    with pytest.raises(ContentRejected, match=why):
        victim.verify_blob(target, BLOB)
    assert len(hostile.requests) == 1


def test_a_compressed_blob_is_refused(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(PATH, answer(200, gzip.compress(CONTENT, 0)[:SIZE], Content_Encoding="gzip"))
    with pytest.raises(RegistryUnavailable, match="identity was asked for"):
        victim.verify_blob(target, BLOB)
    assert len(hostile.requests) == 1


def test_what_comes_after_a_blob_answers_no_other_request(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    def smuggle(exchange: Exchange) -> None:
        exchange.write(HEAD + CONTENT + b"HTTP/1.1 404 Word\r\nContent-Length: 0\r\n\r\n")

    hostile.on(PATH, smuggle)
    hostile.on(TAG, manifest(b"{}"))
    victim.verify_blob(target, BLOB)
    assert victim.find_tag(target, "v1") == f"sha256:{hashlib.sha256(b'{}').hexdigest()}"
    assert len({request.connection for request in hostile.requests}) == 2


def test_connections_of_large_blobs_end_with_them_and_others_serve_again(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on(PATH, answer(200, CONTENT))
    for _ in range(3):
        assert victim.find_tag(target, "v1") is None
        victim.verify_blob(target, BLOB)
    connections = [request.connection for request in hostile.requests]
    assert connections[::2] == connections[1::2]
    assert len(set(connections)) == 3


def test_a_blob_that_breaks_off_is_resumed_and_its_hash_goes_on(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, tmp_path: Path
) -> None:
    hostile.on(PATH, ranged(CONTENT, stop_after=2 * MIB), reset(), ranged(CONTENT, stop_after=MIB), ranged(CONTENT))
    told: list[int] = []
    victim.download_blob(target, BLOB, tmp_path / "blob", told.append)
    assert (tmp_path / "blob").read_bytes() == CONTENT
    assert ranges(hostile) == [None, f"bytes={2 * MIB}-", f"bytes={2 * MIB}-", f"bytes={3 * MIB}-"]
    assert sum(told) == SIZE


def test_a_blob_that_breaks_off_again_and_again_is_gone_on_with_as_long_as_it_gets_further(
    hostile: HostileRegistry, quick: SkippingClock, target: Repository
) -> None:
    opened = OciRegistries(limits=dataclasses.replace(LARGE, tries=2), timing=quick.timing)
    hostile.on(PATH, ranged(CONTENT, stop_after=MIB + 1000))
    opened.open(RegistryConnection("default", hostile.host)).verify_blob(target, BLOB)
    assert ranges(hostile)[1:] == [f"bytes={number * (MIB + 1000)}-" for number in range(1, 5)]
    opened.close()


@pytest.mark.parametrize(
    "behaviour",
    [send(CONTENT[: 3 * MIB], length=SIZE), reset(HEAD + CONTENT[: 3 * MIB])],
    ids=["ends", "reset"],
)
def test_a_blob_that_never_comes_whole_is_unavailable_after_a_few_tries(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, tmp_path: Path, behaviour: Behaviour
) -> None:
    hostile.on(PATH, behaviour)
    with pytest.raises(RegistryUnavailable, match="connection failed"):
        victim.download_blob(target, BLOB, tmp_path / "blob")
    assert len(hostile.requests) <= 5
    assert list(tmp_path.iterdir()) == []


def stalling(*, seconds: float) -> Behaviour:
    """Send most of it, and then a byte now and then."""

    def behave(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.write(HEAD + CONTENT[: 3 * MIB])
        for byte in CONTENT[3 * MIB :]:
            exchange.wait(seconds)
            exchange.write(bytes([byte]))

    return behave


@pytest.mark.parametrize(
    ("limits", "behaviour", "why"),
    [
        (Limits(rate_seconds=0.3), stalling(seconds=0.02), "less than 16384 bytes a second"),
        (Limits(silence_seconds=0.3), stalling(seconds=60), "nothing came for 0.3 s"),
        (Limits(blob_seconds=0.5, blob_rate=1 << 40, slowest_rate=1), stalling(seconds=0.02), "as a whole"),
    ],
    ids=["slow", "silent", "late"],
)
def test_a_blob_that_keeps_us_waiting_is_given_up(
    hostile: HostileRegistry, target: Repository, limits: Limits, behaviour: Behaviour, why: str
) -> None:
    opened = OciRegistries(limits=dataclasses.replace(limits, large_body=LARGE.large_body, tries=1))
    hostile.on(PATH, behaviour)
    begun = time.monotonic()
    with pytest.raises(RegistryUnavailable, match=why):
        opened.open(RegistryConnection("default", hostile.host)).verify_blob(target, BLOB)
    assert time.monotonic() - begun < 3
    opened.close()


def test_memory_does_not_grow_with_a_blob(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    chunk, count = bytes(MIB), 48

    def large(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": str(MIB * count)})
        for _ in range(count):
            exchange.write(chunk)

    blob = Descriptor("a/b", f"sha256:{hashlib.sha256(bytes(MIB * count)).hexdigest()}", MIB * count)
    hostile.on(f"/v2/os/images/blobs/{blob.digest}", large)
    tracemalloc.start()
    try:
        victim.verify_blob(target, blob)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
