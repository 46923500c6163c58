"""One blob, streamed once: hashed as it comes, resumed where it broke, never a byte beyond its declared size."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import httpx

from bootpress.adapters.oci.limits import MIB
from bootpress.adapters.oci.network import TransferDeadline
from bootpress.adapters.oci.responses import (
    RegistryRetryPolicy,
    RetryableFailure,
    content_length,
    missing_content_error,
    refuse_encoding,
)
from bootpress.adapters.oci.transport import Transport
from bootpress.core.errors import ContentRejected, RegistryUnavailable
from bootpress.core.ports import Descriptor, Progress
from bootpress.core.references import Repository

PROGRESS = MIB
"""Bytes of one response after which earlier failures are forgotten."""
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.ASCII)


class Sink(Protocol):
    """Where a blob's bytes go."""

    def write(self, chunk: bytes) -> object:
        """Take the next bytes."""

    def start_over(self) -> None:
        """Forget what came so far."""


class NullSink:
    """Keeps nothing."""

    def write(self, chunk: bytes) -> None:
        """Let go."""

    def start_over(self) -> None:
        """Nothing to forget."""


class MemorySink:
    """Keeps a small blob."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, chunk: bytes) -> None:
        """Append."""
        self.content += chunk

    def start_over(self) -> None:
        """Empty it."""
        self.content.clear()


class FileSink:
    """Writes to a new file beside `path`, which takes its name when everything has come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
        self._file = self._part.open("xb")

    def write(self, chunk: bytes) -> None:
        """Append."""
        self._file.write(chunk)

    def start_over(self) -> None:
        """Empty it."""
        self._file.seek(0)
        self._file.truncate()

    def keep(self) -> None:
        """Make it durable, then visible under its name."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._part.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Let go; what was not kept is removed."""
        self._file.close()
        self._part.unlink(missing_ok=True)


@contextmanager
def file_sink(path: Path) -> Iterator[FileSink]:
    """Give a file sink that leaves no part behind."""
    sink = FileSink(path)
    try:
        yield sink
    finally:
        sink.close()


class BlobStream:
    """One blob on its way: how much has come, and the hash of it."""

    def __init__(
        self,
        transport: Transport,
        repository: Repository,
        descriptor: Descriptor,
        sink: Sink,
        progress: Progress | None = None,
    ) -> None:
        self._transport, self._repository, self._descriptor = transport, repository, descriptor
        self._sink, self._progress = sink, progress
        self._hash = hashlib.sha256()
        self._offset = self._reported = 0
        self._ranges, self._resumed = True, False
        self._name = f"blob {descriptor.digest} of {repository}"

    def run(self) -> None:
        """Stream the whole blob into the sink.

        Raises ContentRejected when it is not there, longer than declared or other bytes than its digest says;
        RegistryUnavailable when it does not come whole in time.
        """
        limits, timing = self._transport.limits, self._transport.timing
        deadline = timing.monotonic() + limits.blob_seconds + self._descriptor.size / limits.blob_rate
        retry = RegistryRetryPolicy(limits, timing, deadline=deadline)
        for _ in range(limits.blob_responses):
            watch = TransferDeadline(timing, deadline, rate=limits.slowest_rate, rate_seconds=limits.rate_seconds)
            before = self._reported
            if self._progress:
                self._progress(0)  # whoever no longer wants the blob says so here, also while nothing comes
            try:
                self._take_response(watch)
                if self._holds():
                    return
            except RetryableFailure as failure:
                if self._reported - before > PROGRESS:
                    retry.start_over()
                retry.wait(failure, what=self._name)
        raise RegistryUnavailable(f"{self._name} did not come whole in {limits.blob_responses} responses")

    def _take_response(self, watch: TransferDeadline) -> None:
        path = f"/v2/{self._repository.path}/blobs/{self._descriptor.digest}"
        if self._offset and not self._ranges:
            self._start_over()
        headers = {"range": f"bytes={self._offset}-"} if self._offset else {}
        scope = f"repository:{self._repository.path}:pull"
        transport = self._transport
        with transport.open("GET", transport.url(path), watch=watch, scope=scope, headers=headers) as response:
            expected = self._begin(response)
            for chunk in response.iter_raw():
                self._take(chunk)
        if self._offset < expected:
            raise RetryableFailure(f"it broke off after {self._offset} of {self._descriptor.size} bytes")

    def _begin(self, response: httpx.Response) -> int:
        """Judge a response by its head; return the offset that it should end at."""
        refuse_encoding(response)
        match response.status_code:
            case 200:
                return self._begin_whole(response)
            case 206 if self._offset:
                return self._begin_rest(response)
            case 404:
                raise missing_content_error(self._name)
            case 416 if self._offset:
                self._start_over(ranges=False)
                raise RetryableFailure("it cannot be resumed")
            case status:
                raise RegistryUnavailable(f"{self._transport.origin} answers {status} for {self._name}")

    def _begin_whole(self, response: httpx.Response) -> int:
        length, size = content_length(response.headers), self._descriptor.size
        if length is not None and length != size:
            raise ContentRejected(f"{self._name} has {length} bytes, not the {size} that its manifest says")
        if self._offset:  # a server that knows no ranges
            self._start_over()
        return size

    def _begin_rest(self, response: httpx.Response) -> int:
        found = _RANGE.fullmatch(response.headers.get("content-range", ""))
        size = self._descriptor.size
        if found and found[3] not in {"*", str(size)}:
            raise ContentRejected(f"{self._name} has {found[3]} bytes, not the {size} that its manifest says")
        if not found or int(found[1]) != self._offset or not self._offset <= int(found[2]) < size:
            self._start_over(ranges=False)
            raise RetryableFailure("it answers with another range than was asked for")
        self._resumed = True
        return int(found[2]) + 1

    def _take(self, chunk: bytes) -> None:
        self._offset += len(chunk)
        if self._offset > self._descriptor.size:
            if self._resumed:  # a server that counts its ranges wrong says nothing of the blob
                self._start_over(ranges=False)
                raise RetryableFailure("more came than was asked for")
            raise ContentRejected(
                f"{self._name} goes on beyond the {self._descriptor.size} bytes that its manifest says"
            )
        self._hash.update(chunk)
        self._sink.write(chunk)
        if self._offset > self._reported:
            if self._progress:
                self._progress(self._offset - self._reported)
            self._reported = self._offset

    def _holds(self) -> bool:
        """Tell whether the blob is whole and right; False to go on; ContentRejected for other bytes."""
        if self._offset < self._descriptor.size:
            return False
        if f"sha256:{self._hash.hexdigest()}" == self._descriptor.digest:
            return True
        if self._resumed:
            # Two servers behind one name may have sent parts of different content: once more, in one piece.
            self._start_over(ranges=False)
            return False
        raise ContentRejected(
            f"{self._name} has other bytes than its digest says: their digest is sha256:{self._hash.hexdigest()}",
            hint="push the artifact again; if it happens again, the registry's storage is damaged or tampered with",
        )

    def _start_over(self, *, ranges: bool = True) -> None:
        self._hash = hashlib.sha256()
        self._offset, self._resumed = 0, False
        self._ranges = self._ranges and ranges
        self._sink.start_over()
