"""Several blobs at once: what is asked for, what ends the others, and which failure counts."""

from __future__ import annotations

import hashlib
import threading

import pytest

from bootpress.core.errors import ContentRejected, RegistryUnavailable
from bootpress.core.ports import Descriptor, Progress
from bootpress.core.publications.blob_verification import CONCURRENCY, verify_all
from bootpress.core.references import Repository
from tests.support.layouts import LayoutRegistry

REPOSITORY = Repository("registry.example", "os/image")
SECONDS = 10


def blob(content: bytes) -> Descriptor:
    return Descriptor("application/octet-stream", f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))


class Scripted(LayoutRegistry):
    """A registry whose blobs wait for each other, fail, or go on until they are stopped."""

    def __init__(self, *, together: int = 0) -> None:
        super().__init__()
        self.meeting = threading.Barrier(together or 1)
        self.failures: dict[str, Exception] = {}
        self.endless: set[str] = set()
        self.stopped: set[str] = set()
        self.asked: set[str] = set()

    def verify_blob(self, repository: Repository, descriptor: Descriptor, progress: Progress | None = None) -> None:
        self.asked.add(descriptor.digest)
        assert progress is not None
        if self.meeting.parties > 1:
            self.meeting.wait(SECONDS)
        try:
            while descriptor.digest in self.endless:
                progress(0)
        except Exception:
            self.stopped.add(descriptor.digest)
            raise
        if descriptor.digest in self.failures:
            raise self.failures[descriptor.digest]
        super().verify_blob(repository, descriptor, progress)


def test_every_blob_is_verified_and_told_of_once() -> None:
    registry = Scripted()
    told: list[int] = []
    blobs = [blob(b"%d" % number * (number + 1)) for number in range(9)]
    for number in range(9):
        registry.add(b"%d" % number * (number + 1))
    verify_all(registry, REPOSITORY, blobs, told.append)
    assert registry.asked == {one.digest for one in blobs}
    assert sum(told) == sum(one.size for one in blobs)


def test_blobs_are_streamed_at_once() -> None:
    registry = Scripted(together=CONCURRENCY)
    contents = [b"%d" % number for number in range(CONCURRENCY)]
    for content in contents:
        registry.add(content)
    verify_all(registry, REPOSITORY, [blob(content) for content in contents])
    assert not registry.meeting.broken


def test_a_bad_blob_stops_the_others_and_spares_the_rest() -> None:
    registry = Scripted()
    blobs = [blob(b"x" * (100 - number)) for number in range(20)]
    registry.endless = {one.digest for one in blobs[:3]}
    registry.failures = {blobs[3].digest: ContentRejected("other bytes")}
    with pytest.raises(ContentRejected, match="other bytes"):
        verify_all(registry, REPOSITORY, blobs)
    assert registry.stopped == registry.endless
    assert len(registry.asked) < len(blobs)


def test_a_bad_blob_counts_more_than_one_that_is_away() -> None:
    registry = Scripted(together=2)
    away, bad = blob(b"aa"), blob(b"b")
    registry.failures = {away.digest: RegistryUnavailable("away"), bad.digest: ContentRejected("other bytes")}
    with pytest.raises(ContentRejected):
        verify_all(registry, REPOSITORY, [away, bad])


def test_no_blobs_are_no_work() -> None:
    verify_all(Scripted(), REPOSITORY, [])
