"""Every blob of an image, several at once: what limits one stream (a round trip, a hash) seldom limits the machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from bootpress.core.errors import Rejected
from bootpress.core.ports import Descriptor, Progress, Registry
from bootpress.core.references import Repository

CONCURRENCY = 4


class _Cancelled(Exception):
    """Another blob failed; this one need not be read to its end."""


class _Shared:
    """One progress for all streams, which is also where they are stopped."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._is_stopped = threading.Event()

    def stop(self) -> None:
        self._is_stopped.set()

    def tell(self, count: int) -> None:
        if self._is_stopped.is_set():
            raise _Cancelled
        if self._progress:
            with self._lock:
                self._progress(count)


def verify_all(
    registry: Registry, repository: Repository, blobs: Sequence[Descriptor], progress: Progress | None = None
) -> None:
    """Stream blobs against their sizes and digests, keeping nothing; a bad one ends the others.

    Raises what Registry.verify_blob raises; where one is bad and another is away, the bad one counts.
    """
    shared = _Shared(progress)
    with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="blob") as pool:
        # The largest first, so that none of them is left to run alone at the end.
        ordered = sorted(blobs, key=lambda blob: blob.size, reverse=True)
        streams = [pool.submit(registry.verify_blob, repository, blob, shared.tell) for blob in ordered]
        try:
            wait(streams, return_when=FIRST_EXCEPTION)
        finally:
            shared.stop()
            pool.shutdown(cancel_futures=True)
    failures = [error for error in map(_failure, streams) if error is not None]
    if failures:
        raise min(failures, key=lambda error: not isinstance(error, Rejected))


def _failure(stream: Future[None]) -> BaseException | None:
    error = None if stream.cancelled() else stream.exception()
    return None if isinstance(error, _Cancelled) else error
