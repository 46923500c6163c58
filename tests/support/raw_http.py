"""A client that sends the bytes it is told, as slowly as it is told, and reads answers when it is told."""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PIECE = 65536


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def problem(self) -> dict[str, Any]:
        """Return the problem document that an error answer must be."""
        assert self.headers["content-type"] == "application/problem+json", self
        said: dict[str, Any] = json.loads(self.body)
        assert said["status"] == self.status
        return said


class RawClient:
    """One connection."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", port))
        self._file = self.socket.makefile("rb")

    def send(self, *parts: bytes, pause: float = 0.0) -> None:
        """Send parts, with a pause before each."""
        for part in parts:
            time.sleep(pause)
            self.socket.sendall(part)

    def answer(self) -> Answer:
        """Read one answer; one that says to go on is skipped."""
        response = http.client.HTTPResponse(_NotClosing(self._file))  # type: ignore[arg-type]  # makefile is all it calls
        response.begin()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def line(self) -> bytes:
        """Read one line."""
        return self._file.readline().rstrip()

    def rest(self, *, seconds: float) -> bytes:
        """Read until the server hangs up, which it must within so many seconds."""
        found = io.BytesIO()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                piece = self._file.read1(PIECE)
            except ConnectionError:
                return found.getvalue()
            except TimeoutError:
                break
            if not piece:
                return found.getvalue()
            found.write(piece)
        raise AssertionError(f"still connected after {seconds} s")

    def is_cut_off(self) -> bool:
        """Tell whether the server hung up already."""
        self.socket.settimeout(0)
        try:
            return self.socket.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
        finally:
            self.socket.settimeout(20)

    def close(self) -> None:
        self._file.close()
        self.socket.close()


class _NotClosing:
    """A socket to HTTPResponse, which closes the file that it reads from."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file

    def makefile(self, _mode: str) -> _NotClosing:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        """Stay open for the next answer."""

    def flush(self) -> None:
        """Have nothing to write."""


@contextmanager
def connected(port: int, *, receive_buffer: int | None = None) -> Iterator[RawClient]:
    """Connect for the time of the block."""
    client = RawClient(port, receive_buffer=receive_buffer)
    try:
        yield client
    finally:
        client.close()


def request(method: str = "GET", path: str = "/healthz", *headers: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: press", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
