"""Read what an outsider sends, within bounds of size and time."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from bootpress.core.errors import Unauthenticated
from bootpress.entrypoints.api.problems import Problem

SECONDS = 30.0
"""How long a body may take to arrive, unless the connection says otherwise."""
STATE = "body_seconds"
"""Under which name a connection says it, in the state of its requests."""
MAX_DISCARD_BYTES = 1024 * 1024
"""How much of a body that is too large is read and thrown away, so that its sender gets to read the answer."""
_CLOSE = {"Connection": "close"}


async def read_body(request: Request, *, limit: int) -> bytes:
    """Return the body; a Problem 413 beyond `limit` bytes, with or without a Content-Length, 408 when it is slow."""
    seconds: float = getattr(request.state, STATE, SECONDS)
    if _declared(request) > limit + MAX_DISCARD_BYTES or (_declared(request) > limit and "expect" in request.headers):
        raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _read(request, limit)
    except TimeoutError as error:
        raise Problem(
            408, "request-timeout", "Request Timeout", f"the body took over {seconds:.0f} s", headers=_CLOSE
        ) from error
    except ClientDisconnect as error:
        raise Problem(400, "bad-request", "Bad Request", "the body ended early") from error


def require_json(request: Request) -> None:
    """Raise a Problem 415 unless the body is declared to be JSON."""
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != "application/json":
        raise Problem(
            415,
            "unsupported-media-type",
            "Unsupported Media Type",
            f"the body is declared as {given or 'nothing'}",
            "send Content-Type: application/json",
        )


def header_values(request: Request) -> dict[str, str]:
    """Return all headers with lower-case names; one that was sent twice is joined with a comma (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in request.headers.items():
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def bearer_token(request: Request) -> str:
    """Return the token of the Authorization header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("no or bad token", hint="send Authorization: Bearer <token>")
    return token.strip()


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size <= limit:
            body += piece
        elif size > limit + MAX_DISCARD_BYTES:
            break
    if size > limit:
        raise _too_large(limit)
    return bytes(body)


def _declared(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0  # noqa: PLR2004 - no real length has so many digits


def _too_large(limit: int) -> Problem:
    return Problem(
        413, "content-too-large", "Content Too Large", f"the body has more than {limit} bytes", headers=_CLOSE
    )
