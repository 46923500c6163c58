"""Blobs that break off, go on for ever, come slowly, or are others than they should be."""

from __future__ import annotations

import gzip
import hashlib
import random
import time
import tracemalloc
from pathlib import Path

import pytest

from bootpress.adapters.oci import Limits, OciRegistries, OciRegistry
from bootpress.core.errors import ContentRejected, RegistryUnavailable
from bootpress.core.ports import Descriptor, RegistryConnection
from bootpress.core.references import Repository
from tests.support.clocks import SkippingClock
from tests.support.hostile_registry import (
    Behaviour,
    Exchange,
    HostileRegistry,
    answer,
    demand,
    drip,
    endless,
    guarded,
    ranged,
    redirect,
    reset,
    send,
)

CONTENT = random.Random(1).randbytes(600_000)  # noqa: S311 - the same bytes each time
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
BLOB = Descriptor("application/octet-stream", DIGEST, len(CONTENT))
PATH = f"/v2/os/images/blobs/{DIGEST}"
OTHER = CONTENT[:300_000] + b"!" + CONTENT[300_001:]


def ranges(hostile: HostileRegistry) -> list[str | None]:
    return [request.headers["Range"] for request in hostile.asked(PATH)]


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(200, CONTENT),
        send(CONTENT),  # no Content-Length
        redirect(f"{PATH}/moved"),
    ],
    ids=["length", "no length", "redirect"],
)
def test_a_good_blob_is_good(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, behaviour: Behaviour
) -> None:
    hostile.on(PATH, behaviour)
    hostile.on(f"{PATH}/moved", answer(200, CONTENT))
    told: list[int] = []
    victim.verify_blob(target, BLOB, told.append)
    assert sum(told) == len(CONTENT)


def test_chunked_content_is_read(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    def chunked(exchange: Exchange) -> None:
        exchange.head(200, {"Transfer-Encoding": "chunked"})
        for start in range(0, len(CONTENT), 100_000):
            part = CONTENT[start : start + 100_000]
            exchange.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        exchange.write(b"0\r\n\r\n")

    hostile.on(PATH, chunked)
    victim.verify_blob(target, BLOB)


@pytest.mark.parametrize(
    ("behaviour", "why"),
    [
        (answer(200, OTHER), "other bytes"),
        (send(OTHER), "other bytes"),
        (answer(200, CONTENT + b"!"), "has 600001 bytes"),
        (send(CONTENT + b"!"), "goes on beyond"),
        (answer(200, CONTENT[:-1]), "has 599999 bytes"),
        (answer(200, b""), "has 0 bytes"),
        (endless(), "goes on beyond"),
        (answer(404), "not in the registry"),
    ],
    ids=range(8),
)
def test_a_bad_blob_is_rejected_at_once(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, behaviour: Behaviour, why: str
) -> None:
    hostile.on(PATH, behaviour)
    with pytest.raises(ContentRejected, match=why):
        victim.verify_blob(target, BLOB)
    assert len(hostile.requests) == 1


def test_a_compressed_blob_is_refused(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(PATH, answer(200, gzip.compress(CONTENT), Content_Encoding="gzip"))
    with pytest.raises(RegistryUnavailable, match="identity was asked for"):
        victim.verify_blob(target, BLOB)
    assert len(hostile.requests) == 1


def test_a_blob_that_breaks_off_is_resumed_and_its_hash_goes_on(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, tmp_path: Path
) -> None:
    part = ranged(CONTENT, stop_after=200_000)
    hostile.on(PATH, part, part, ranged(CONTENT))
    told: list[int] = []
    victim.download_blob(target, BLOB, tmp_path / "blob", told.append)
    assert (tmp_path / "blob").read_bytes() == CONTENT
    assert ranges(hostile) == [None, "bytes=200000-", "bytes=400000-"]
    assert sum(told) == len(CONTENT)


def test_a_blob_that_is_reset_is_resumed(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, tmp_path: Path
) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\n\r\n".encode()
    hostile.on(PATH, reset(head + CONTENT[:1000]), reset(), answer(503), ranged(CONTENT))
    victim.download_blob(target, BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT


def test_a_server_without_ranges_sends_it_again_from_the_start(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, tmp_path: Path
) -> None:
    hostile.on(PATH, send(CONTENT[:250_000], length=len(CONTENT)), answer(200, CONTENT))
    told: list[int] = []
    victim.download_blob(target, BLOB, tmp_path / "blob", told.append)
    assert (tmp_path / "blob").read_bytes() == CONTENT
    assert ranges(hostile) == [None, "bytes=250000-"]
    assert sum(told) == len(CONTENT)  # what came twice is told once


@pytest.mark.parametrize(
    "behaviour",
    [
        send(CONTENT[:1000], length=len(CONTENT)),
        send(CONTENT[:1000]),
        ranged(CONTENT, stop_after=1000),
        reset(),
        answer(503),
    ],
    ids=range(5),
)
def test_a_blob_that_never_comes_whole_is_unavailable_after_a_few_tries(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, tmp_path: Path, behaviour: Behaviour
) -> None:
    hostile.on(PATH, behaviour)
    with pytest.raises(RegistryUnavailable, match=r"broke off|connection failed|503"):
        victim.download_blob(target, BLOB, tmp_path / "blob")
    assert len(hostile.requests) <= 5
    assert list(tmp_path.iterdir()) == []


def test_parts_of_different_content_are_fetched_once_more_in_one_piece(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, tmp_path: Path
) -> None:
    hostile.on(PATH, ranged(OTHER, stop_after=400_000), ranged(CONTENT), answer(200, CONTENT))
    victim.download_blob(target, BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT
    assert ranges(hostile) == [None, "bytes=400000-", None]


def test_parts_that_stay_wrong_are_rejected(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(PATH, ranged(OTHER, stop_after=400_000), ranged(OTHER))
    with pytest.raises(ContentRejected, match="other bytes"):
        victim.verify_blob(target, BLOB)


@pytest.mark.parametrize(
    "content_range",
    ["bytes 0-599999/600000", "bytes 100001-599999/600000", "bytes 100000-99999/600000", "bytes */600000", "x", ""],
)
def test_a_part_from_elsewhere_is_not_taken(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, content_range: str
) -> None:
    wrong = answer(206, CONTENT[100_000:], Content_Range=content_range)
    hostile.on(PATH, ranged(CONTENT, stop_after=100_000), wrong, answer(200, CONTENT))
    victim.verify_blob(target, BLOB)
    assert ranges(hostile) == [None, "bytes=100000-", None]


def test_a_part_of_a_longer_blob_is_rejected(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    longer = answer(206, CONTENT[100_000:], Content_Range="bytes 100000-599999/600001")
    hostile.on(PATH, ranged(CONTENT, stop_after=100_000), longer)
    with pytest.raises(ContentRejected, match="has 600001 bytes"):
        victim.verify_blob(target, BLOB)


@pytest.mark.parametrize("more", [CONTENT, CONTENT[100_000:] + b"!"], ids=["the whole", "a byte more"])
def test_a_part_longer_than_asked_for_is_not_held_against_the_blob(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, tmp_path: Path, more: bytes
) -> None:
    longer = answer(206, more, Content_Range="bytes 100000-599999/600000")
    hostile.on(PATH, ranged(CONTENT, stop_after=100_000), longer, answer(200, CONTENT))
    victim.download_blob(target, BLOB, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == CONTENT
    assert ranges(hostile) == [None, "bytes=100000-", None]


def test_a_part_shorter_than_asked_for_is_followed_by_another(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    middle = answer(206, CONTENT[100_000:500_000], Content_Range="bytes 100000-499999/600000")
    hostile.on(PATH, ranged(CONTENT, stop_after=100_000), middle, ranged(CONTENT))
    victim.verify_blob(target, BLOB)
    assert ranges(hostile) == [None, "bytes=100000-", "bytes=500000-"]


@pytest.mark.parametrize("status", [206, 416, 302, 418])
def test_an_answer_that_nobody_asked_for_is_not_content(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, status: int
) -> None:
    hostile.on(PATH, answer(status, CONTENT))
    with pytest.raises(RegistryUnavailable):
        victim.verify_blob(target, BLOB)
    assert len(hostile.requests) == 1


def test_a_range_that_cannot_be_had_means_once_more_from_the_start(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on(PATH, ranged(CONTENT, stop_after=100_000), answer(416), answer(200, CONTENT))
    victim.verify_blob(target, BLOB)
    assert ranges(hostile) == [None, "bytes=100000-", None]


def test_a_slow_blob_is_given_up(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on(PATH, drip(CONTENT, seconds=0.02))
    begun = time.monotonic()
    with pytest.raises(RegistryUnavailable, match="less than 16384 bytes a second"):
        victim.verify_blob(target, BLOB)
    assert time.monotonic() - begun < 5


def test_a_blob_in_too_many_parts_is_given_up(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    def one_byte(exchange: Exchange) -> None:
        start = int(exchange.request.headers.get("Range", "bytes=1000-")[6:-1])
        part = {"Content-Range": f"bytes {start}-{start}/{len(CONTENT)}", "Content-Length": "1"}
        exchange.head(206, part)
        exchange.write(CONTENT[start : start + 1])

    hostile.on(PATH, ranged(CONTENT, stop_after=1000), one_byte)
    with pytest.raises(RegistryUnavailable, match="in 20 responses"):
        victim.verify_blob(target, BLOB)
    assert len(hostile.requests) == 20


def test_a_blob_has_a_deadline_of_its_own(hostile: HostileRegistry, target: Repository) -> None:
    registries = OciRegistries(limits=Limits(blob_seconds=0.5, blob_rate=1 << 40, slowest_rate=1))
    hostile.on(PATH, drip(CONTENT, seconds=0.02))
    begun = time.monotonic()
    with pytest.raises(RegistryUnavailable, match="as a whole"):
        registries.open(RegistryConnection("default", hostile.host)).verify_blob(target, BLOB)
    assert time.monotonic() - begun < 2
    registries.close()


def test_waits_between_the_parts_of_a_blob_are_bounded(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, quick: SkippingClock
) -> None:
    hostile.on(PATH, answer(429, Retry_After="100000"))
    with pytest.raises(RegistryUnavailable, match="429"):
        victim.verify_blob(target, BLOB)
    assert quick.slept == [30, 30, 30]


def test_a_token_that_expires_in_the_middle_of_a_blob_is_renewed(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    bearer = f'Bearer realm="{hostile.url}/token",service="x"'
    hostile.on("/token", answer(200, {"token": "first"}), answer(200, {"token": "second"}))
    hostile.on(
        PATH,
        demand(bearer),
        guarded(ranged(CONTENT, stop_after=300_000), by="Bearer first", challenge=bearer),
        guarded(ranged(CONTENT), by="Bearer second", challenge=bearer),
    )
    victim.verify_blob(target, BLOB)
    assert [(each.headers["Range"], each.authorization) for each in hostile.asked(PATH)] == [
        (None, None),
        (None, "Bearer first"),
        ("bytes=300000-", "Bearer first"),
        ("bytes=300000-", "Bearer second"),
    ]


def test_a_resumed_blob_is_asked_for_at_home_again(
    victim: OciRegistry, hostile: HostileRegistry, elsewhere: HostileRegistry, target: Repository
) -> None:
    hostile.on(PATH, redirect(f"{elsewhere.url}/first"), redirect(f"{elsewhere.url}/second"))
    elsewhere.on("/first", ranged(CONTENT, stop_after=300_000))
    elsewhere.on("/second", ranged(CONTENT))  # what the first was signed for has expired
    victim.verify_blob(target, BLOB)
    assert [request.headers["Range"] for request in elsewhere.requests] == [None, "bytes=300000-"]


def test_memory_does_not_grow_with_a_blob(victim: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    chunk, count = bytes(1 << 20), 48
    total = hashlib.sha256()
    for _ in range(count):
        total.update(chunk)

    def large(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Length": str(len(chunk) * count)})
        for _ in range(count):
            exchange.write(chunk)

    blob = Descriptor("a/b", f"sha256:{total.hexdigest()}", len(chunk) * count)
    hostile.on(f"/v2/os/images/blobs/{blob.digest}", large)
    tracemalloc.start()
    try:
        victim.verify_blob(target, blob)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_blob_over_its_limit_is_not_asked_for(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    with pytest.raises(ContentRejected, match="at most 1000 are read"):
        victim.read_blob(target, BLOB, limit=1000)
    assert hostile.requests == []
