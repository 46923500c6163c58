"""Bodies that are read past httpcore: every byte once, whatever came along with the head, and not one beyond them.

What is asked of httpcore here is what `bodies` builds on: that its first chunk is all that it holds, and that it does
not use a connection again whose body it has not seen the end of.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.adapters.oci import Clock, Limits
from bootpress.adapters.oci.network import READ, GuardedBackend, ThreadDeadlines, TransferDeadline
from bootpress.adapters.oci.origins import Origin
from bootpress.adapters.oci.response_body import ResponseBody

LARGE = 1000
LIMITS = Limits(large_body=LARGE)
CONTENT = bytes(range(256)) * 5
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT)


class Pieces(httpcore.NetworkStream):
    """A connection whose other side sends these pieces."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.asked: list[int] = []
        self.is_closed = self.is_kept = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.asked.append(max_bytes)
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if len(piece) > max_bytes:
            self.pieces.insert(0, piece[max_bytes:])
        return piece[:max_bytes]

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


class OneConnection(httpcore.NetworkBackend):
    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    def connect_tcp(self, *args: object, **more: object) -> httpcore.NetworkStream:
        return self._pieces


@contextmanager
def answered(pieces: Pieces, *, method: str = "GET", keeper: ThreadDeadlines | None = None) -> Iterator[ResponseBody]:
    """Ask for something and give the body of the answer."""
    backend = GuardedBackend(
        Origin("http", "a.test", 80), lambda _: ["127.0.0.1"], keeper or ThreadDeadlines(), OneConnection(pieces)
    )
    with httpcore.ConnectionPool(network_backend=backend) as pool:
        body = ResponseBody(
            pool.handle_request(httpcore.Request(method, "http://a.test/", headers={"host": "a.test"})), LIMITS
        )
        yield body
        body.close()
        pieces.is_kept = bool(pool.connections) and not pieces.is_closed
        assert pieces.is_kept or (pieces.is_closed and not pool.connections)


def read(pieces: Pieces, *, method: str = "GET") -> bytes:
    with answered(pieces, method=method) as body:
        return b"".join(body)


@given(st.lists(st.integers(1, len(HEAD + CONTENT) - 1), max_size=8))
def test_a_large_body_is_read_whole_however_it_is_cut(cuts: list[int]) -> None:
    raw, places = HEAD + CONTENT, sorted({0, *cuts})
    pieces = Pieces([raw[start:end] for start, end in zip(places, [*places[1:], len(raw)], strict=True)])
    assert read(pieces) == CONTENT
    assert not pieces.is_kept


@pytest.mark.parametrize("head", [b"HTTP/1.1 103 Early Hints\r\n\r\n" + HEAD, HEAD.replace(b"/1.1", b"/1.0")])
def test_another_head_makes_no_difference(head: bytes) -> None:
    assert read(Pieces([head + CONTENT[:10], CONTENT[10:]])) == CONTENT


def test_no_byte_beyond_a_large_body_is_asked_for() -> None:
    pieces = Pieces([HEAD + CONTENT[:10], CONTENT[10:20], CONTENT[20:] + b"HTTP/1.1 200 OK\r\n"])
    assert read(pieces) == CONTENT
    assert pieces.asked == [READ, len(CONTENT) - 10, len(CONTENT) - 20]
    assert not pieces.is_kept


@pytest.mark.parametrize("come", [0, 1, 500, len(CONTENT) - 1])
def test_a_large_body_that_ends_early_is_an_error(come: int) -> None:
    pieces = Pieces([HEAD, CONTENT[:1], CONTENT[1:come]][: 1 if come == 0 else 3])
    with answered(pieces) as body, pytest.raises(httpx.TransportError):
        list(body)
    assert not pieces.is_kept


def test_a_connection_is_closed_when_a_large_body_is_left_unread() -> None:
    pieces = Pieces([HEAD + CONTENT[:10], CONTENT[10:]])
    with answered(pieces) as body:
        assert next(iter(body)) == CONTENT[:10]
    assert not pieces.is_kept


def small(content: bytes) -> list[bytes]:
    return [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content), content]


def chunked(content: bytes, *more: bytes) -> list[bytes]:
    head = b"\r\n".join([b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", *more, b"", b""])
    return [head, b"%x\r\n" % len(content), content, b"\r\n0\r\n\r\n"]


@pytest.mark.parametrize(
    ("pieces", "content"),
    [
        (small(CONTENT[: LARGE - 1]), CONTENT[: LARGE - 1]),
        (chunked(CONTENT), CONTENT),
        (chunked(CONTENT, b"Content-Length: 2000"), CONTENT),  # which counts for nothing then (RFC 9112, 6.3)
    ],
    ids=["small", "chunked", "chunked with a length"],
)
def test_another_body_is_left_to_httpcore_and_its_connection_kept(pieces: list[bytes], content: bytes) -> None:
    connection = Pieces(pieces)
    assert read(connection) == content
    assert set(connection.asked) == {READ}
    assert connection.is_kept


def test_a_length_without_a_body_is_not_waited_for() -> None:
    for method, head in [("HEAD", HEAD), ("GET", HEAD.replace(b"200 OK", b"304 As Before"))]:
        connection = Pieces([head, b"never to be read"])
        assert read(connection, method=method) == b""
        assert connection.asked == [READ]
        assert connection.is_kept


def test_lengths_that_disagree_are_refused() -> None:
    pieces = Pieces([HEAD.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n"), CONTENT])
    with pytest.raises(httpcore.RemoteProtocolError), answered(pieces):
        pytest.fail("there is no answer")


def test_the_watch_is_kept_past_httpcore() -> None:
    now, keeper = 100.0, ThreadDeadlines()
    watch = TransferDeadline(Clock(monotonic=lambda: now), deadline=200)
    with keeper.using(watch), answered(Pieces([HEAD, CONTENT[:10], CONTENT[10:]]), keeper=keeper) as body:
        chunks = iter(body)
        assert next(chunks) == CONTENT[:10]
        now = 200.0
        with pytest.raises(httpx.TransportError, match="as a whole"):
            next(chunks)
