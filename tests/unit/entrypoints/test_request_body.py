"""A body is read within bounds of size and time, whatever its sender does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from starlette.requests import Request
from starlette.types import Message

from bootpress.entrypoints.api.problems import Problem
from bootpress.entrypoints.api.request_body import MAX_DISCARD_BYTES, STATE, read_body

LIMIT = 100


def request(receive: Callable[[], Awaitable[Message]], headers: Mapping[str, str] | None = None) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive)


def pieces(*sizes: int) -> tuple[Callable[[], Awaitable[Message]], list[int]]:
    """Return what sends bodies of these sizes, and a list that grows with what was taken."""
    left, taken = list(sizes), list[int]()

    async def receive() -> Message:
        taken.append(left.pop(0))
        return {"type": "http.request", "body": b"x" * taken[-1], "more_body": bool(left)}

    return receive, taken


def read(asked: Request, seconds: float = 5) -> bytes:
    setattr(asked.state, STATE, seconds)
    return asyncio.run(read_body(asked, limit=LIMIT))


def test_pieces_up_to_the_limit_are_one_body() -> None:
    receive, _ = pieces(60, 0, 40)
    assert read(request(receive)) == b"x" * 100


@pytest.mark.parametrize("length", ["101", "5", "", "-1", "nonsense"])
def test_one_byte_more_is_413_whatever_the_length_says(length: str) -> None:
    receive, taken = pieces(60, 41, 3)
    with pytest.raises(Problem) as caught:
        read(request(receive, {"Content-Length": length} if length else {}))
    assert (caught.value.status, caught.value.headers["Connection"]) == (413, "close")
    assert taken == [60, 41, 3]  # its sender gets to read the answer


def test_what_goes_on_and_on_is_not_read_to_its_end() -> None:
    receive, taken = pieces(*[LIMIT + MAX_DISCARD_BYTES] * 5)
    with pytest.raises(Problem) as caught:
        read(request(receive))
    assert caught.value.status == 413
    assert len(taken) == 2


@pytest.mark.parametrize(
    "headers", [{"Content-Length": str(10**9)}, {"Content-Length": "101", "Expect": "100-continue"}]
)
def test_a_length_that_is_too_large_is_refused_unread(headers: dict[str, str]) -> None:
    receive, taken = pieces(1)
    with pytest.raises(Problem) as caught:
        read(request(receive, headers))
    assert (caught.value.status, taken) == (413, [])


def test_a_body_that_does_not_come_is_408() -> None:
    async def receive() -> Message:
        await asyncio.sleep(60)
        raise AssertionError("waited for the sender")

    with pytest.raises(Problem) as caught:
        read(request(receive), seconds=0.05)
    assert caught.value.status == 408


def test_a_sender_that_hangs_up_is_400() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(Problem) as caught:
        read(request(receive))
    assert caught.value.status == 400
