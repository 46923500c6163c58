"""Connections: whoever keeps us waiting is cut off, and gives way first when there is no room.

uvicorn bounds none of this: a client that sends half a request, takes no answer or sends nothing at all stays, and
whoever comes when there are too many is sent away. Whoever reads a body keeps its bounds (`reading`).
"""

from __future__ import annotations

import asyncio
import re
import sys
from dataclasses import dataclass
from typing import ClassVar

import h11
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from bootpress.entrypoints.api import request_body
from bootpress.entrypoints.api.problems import Problem

MAX_HEAD = 16 * 1024
"""Bytes of a request line and its headers, the empty line behind them included."""
_HEAD_END = re.compile(rb"\n\r?\n")  # as h11 finds it


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there are, and for how many seconds each may keep us waiting."""

    connections: int = 2_000
    head: float = 10.0
    """From the first moment, or from the end of the time that it may be idle, until a request's headers are here."""
    idle: float = 30.0
    """Between two requests."""
    body: float = request_body.SECONDS
    """From the end of the headers until the whole body is here."""
    taking: float = 30.0
    """In which a client takes nothing of its answer."""


class BoundedHeads(h11.Connection):
    """h11's connection, where a head is bounded however it arrives: h11 itself bounds one that is not complete yet."""

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """Return what came next; RemoteProtocolError for a head beyond the bound, before any of it counts."""
        if self.their_state is h11.IDLE:
            waiting, _ = self.trailing_data
            end = _HEAD_END.search(waiting) if len(waiting) > MAX_HEAD else None
            if end is not None and end.end() > MAX_HEAD:
                raise h11.RemoteProtocolError("the request's head is too large", error_status_hint=431)
        return super().next_event()


class LimitedH11Protocol(H11Protocol):
    """One client's connection; `bounded` says how patient it is."""

    bounds: ClassVar[ConnectionLimits]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """Wait for a first request, with or without room for it."""
        super().connection_made(transport)
        self.conn = BoundedHeads(h11.SERVER, MAX_HEAD)
        self.app_state = {**self.app_state, request_body.STATE: self.bounds.body}
        self._stalled: asyncio.TimerHandle | None = None
        self._wait_for_request(self.bounds.head)
        if not self._finds_room():
            self.app = _too_many

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._overdue.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request, which may be here already."""
        self._overdue.cancel()
        self._wait_for_request(self.bounds.idle + self.bounds.head)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait until the client takes more of its answer."""
        super().pause_writing()
        self._stalled = self.loop.call_later(self.bounds.taking, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on with the answer."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn calls it where it catches what h11 raised, and does not pass that on."""
        error = sys.exception()
        status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
        self._refuse(
            {
                431: Problem(431, "headers-too-large", "Request Header Fields Too Large", f"over {MAX_HEAD} bytes"),
                501: Problem(501, "not-implemented", "Not Implemented", "only chunked is understood of codings"),
            }.get(status, Problem(400, "bad-request", "Bad Request", "this is no HTTP/1.1"))
        )

    @property
    def is_waiting_for_client(self) -> bool:
        """Whether it is the client's turn: to send the rest of a request or the next one, or to take its answer."""
        return not self._is_answering or self.conn.their_state in {h11.IDLE, h11.SEND_BODY} or self._stalled is not None

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _wait_for_request(self, seconds: float) -> None:
        self._since = self.loop.time()
        self._overdue = self.loop.call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        begun, _ = self.conn.trailing_data
        if self.transport.is_closing():
            self.transport.abort()  # what was left to send was not taken
        elif self._is_answering:  # the request is being answered; the end of that begins the next wait
            self._overdue = self.loop.call_later(self.bounds.head, self._give_up)
        elif begun and self.conn.their_state is h11.IDLE:
            said = f"the headers took over {self.bounds.head:.0f} s"
            self._refuse(Problem(408, "request-timeout", "Request Timeout", said))
        else:
            self.transport.abort()

    def _finds_room(self) -> bool:
        """Cut off whoever waits longest where there are too many; tell whether there is room now."""
        if len(self.connections) <= self.bounds.connections:
            return True
        there = [
            one for one in self.connections if isinstance(one, LimitedH11Protocol) and not one.transport.is_closing()
        ]
        if len(there) <= self.bounds.connections:
            return True
        waiting = [one for one in there if one is not self and one.is_waiting_for_client]
        if not waiting:
            return False
        min(waiting, key=lambda one: one._since).transport.abort()  # noqa: SLF001 - another of this class
        return True

    def _refuse(self, problem: Problem) -> None:
        """Answer outside of any handler, if there is still an answer to give, and hang up."""
        if self._is_answering:
            self.cycle.disconnected = True  # its handler must neither wait for a body nor answer
            self.cycle.message_event.set()
        answer = problem.response()
        headers = [*self.server_state.default_headers, *answer.raw_headers, (b"connection", b"close")]
        try:
            sent = [
                self.conn.send(event)
                for event in (
                    h11.Response(status_code=problem.status, headers=headers, reason=problem.title.encode()),
                    h11.Data(data=bytes(answer.body)),
                    h11.EndOfMessage(),
                )
            ]
        except h11.LocalProtocolError:  # the answer has begun already
            self.transport.abort()
            return
        self.transport.write(b"".join(part for part in sent if part))
        self.transport.close()
        self._overdue.cancel()
        self._overdue = self.loop.call_later(self.bounds.taking, self.transport.abort)

    def _should_upgrade(self) -> bool:
        # Whoever asks for another protocol gets this one (RFC 9110, 7.8); uvicorn writes two lines to the log for it.
        return False


def limited_protocol(bounds: ConnectionLimits) -> type[LimitedH11Protocol]:
    """Return connections within these bounds."""

    class Bounded(LimitedH11Protocol):
        pass

    Bounded.bounds = bounds
    return Bounded


class RejectAmbiguousFraming:
    """Refuses requests whose bodies end in two places: a proxy may believe in the other one (RFC 9112, 11.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "http" and {b"content-length", b"transfer-encoding"} <= {
            name for name, _ in scope["headers"]
        }:
            said = "a request has a Content-Length or a Transfer-Encoding, not both"
            problem = Problem(400, "bad-request", "Bad Request", said, headers={"Connection": "close"})
            await problem.response()(scope, receive, send)
        else:
            await self._app(scope, receive, send)


async def _too_many(scope: Scope, receive: Receive, send: Send) -> None:
    said = "all connections of this server are in use"
    problem = Problem(
        503, "too-many-connections", "Service Unavailable", said, headers={"Retry-After": "5", "Connection": "close"}
    )
    await problem.response()(scope, receive, send)
