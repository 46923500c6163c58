"""The body of an answer: through httpcore, or the rest of a large one straight from its connection.

httpcore, and h11 under it, copy every byte four times while they hold the interpreter's lock: of a large blob that
takes about as long as its hash, and streams side by side wait for each other. Yet in a body with a Content-Length
nothing is to be understood: what is left of it is the next so many bytes of the connection, and httpcore gives that
along with a response (its documented extension "network_stream"). As httpcore then never sees the end of the body, it
closes the connection instead of using it again, which is why this is for large bodies only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore
import httpx

from bootpress.adapters.oci.limits import Limits
from bootpress.adapters.oci.network import READ, Stream
from bootpress.adapters.oci.responses import content_length

_QUOTED = re.compile(r""":?\s*(?:bytearray\()?b?['"]""")
"""Where bytes begin, as Python writes them."""


class ResponseBody(httpx.SyncByteStream):
    """The bytes of one response, once; httpx.TransportError when they end early, stall or break off."""

    def __init__(self, response: httpcore.Response, limits: Limits) -> None:
        self._response, self._limits = response, limits

    def __iter__(self) -> Iterator[bytes]:
        """Give the bytes as they come."""
        length, stream = _stated_length(self._response), self._response.extensions.get("network_stream")
        with translated():
            if length >= self._limits.large_body and isinstance(stream, Stream):
                yield from self._straight(stream, length)
            else:
                yield from self._response.iter_stream()

    def close(self) -> None:
        """Give the connection back, or close it unless the body was read to its end through httpcore."""
        self._response.close()

    def _straight(self, stream: Stream, length: int) -> Iterator[bytes]:
        parsed = self._response.iter_stream()  # kept until the end: httpcore closes what nobody iterates over any more
        beginning = next(parsed, b"")  # all that came along with the head; what a HEAD is answered with has none
        yield beginning
        left = length - len(beginning) if beginning else 0
        while left:
            chunk = stream.read_available(min(left, READ), self._limits.silence_seconds)
            if not chunk:
                raise httpcore.RemoteProtocolError(f"it ended {left} bytes before its Content-Length of {length}")
            left -= len(chunk)
            yield chunk


def _stated_length(response: httpcore.Response) -> int:
    """Return the Content-Length where it is what ends the body (RFC 9112, 6.3), else 0."""
    headers = httpx.Headers(response.headers)
    return 0 if "transfer-encoding" in headers else content_length(headers) or 0


@contextmanager
def translated() -> Iterator[None]:
    """Raise httpcore's errors as httpx.TransportError.

    h11 quotes what it cannot read: up to a MiB, and it may be our credential, repeated by the other side. Neither the
    error nor a traceback of it is to hold that.
    """
    known = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProxyError)
    try:
        yield
    except httpcore.ProtocolError as error:
        raise httpx.TransportError(_QUOTED.split(str(error), maxsplit=1)[0] or type(error).__name__) from None
    except known as error:
        raise httpx.TransportError(str(error) or type(error).__name__) from error
