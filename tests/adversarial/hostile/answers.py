"""Answers that no good registry gives, and what they are made of."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator

from bootpress.adapters.oci.manifests import OCI_INDEX, OCI_MANIFEST
from tests.adversarial.hostile.case import MIB
from tests.support.hostile_registry import Behaviour, Exchange, answer


def framed(content: bytes, **headers: str) -> Behaviour:
    """Send bytes under headers of one's choice, their length included or not, and hang up."""

    def behave(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.head(200, {"Connection": "close", **{name.replace("_", "-"): text for name, text in headers.items()}})
        exchange.write(content)

    return behave


def chunked(pieces: Callable[[], Iterator[bytes]], *, end: bool = True, **headers: str) -> Behaviour:
    """Send pieces in chunks (RFC 9112, 7.1), and the last chunk if there is to be an end."""

    def behave(exchange: Exchange) -> None:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        exchange.head(200, {"Transfer-Encoding": "chunked", **named})
        for piece in pieces():
            exchange.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if end:
            exchange.write(b"0\r\n\r\n")
        exchange.hang_up()

    return behave


def spaces(count: int) -> Iterator[bytes]:
    """Return so many MiB of nothing."""
    return (b" " * MIB for _ in range(count))


def large(content_type: str, *, mebibytes: int = 200) -> Behaviour:
    """Send a document of 200 MiB under its true length."""

    def behave(exchange: Exchange) -> None:
        exchange.head(200, {"Content-Type": content_type, "Content-Length": str(mebibytes * MIB)})
        for piece in spaces(mebibytes):
            exchange.write(piece)

    return behave


def endless_error(status: int) -> Behaviour:
    """Say what went wrong, and do not stop saying it."""

    def behave(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.head(status, {"Connection": "close", "Location": "/nowhere"})
        while True:
            exchange.write(b"e" * 65536)

    return behave


def endless_headers(exchange: Exchange) -> None:
    """Begin an answer and never come to its body."""
    exchange.hang_up()
    exchange.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        exchange.write(b"X-More: " + b"x" * 60_000 + b"\r\n")


def interim_answers(exchange: Exchange) -> None:
    """Say again and again that the answer is on its way."""
    while True:
        exchange.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        exchange.wait(0.01)


def bomb() -> bytes:
    """Return 64 KiB that are 64 MiB when they are unpacked."""
    return gzip.compress(bytes(64 * MIB), 9)


def deep_json() -> bytes:
    """Return an index that no recursive reader survives."""
    return b'{"schemaVersion":2,"manifests":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def wide_json() -> bytes:
    """Return just under 4 MiB that take thirty times as much as values."""
    return b'{"schemaVersion":2,"mediaType":"' + OCI_INDEX.encode() + b'","manifests":[' + b"{}," * 1_390_000 + b"{}]}"


def many_keys() -> bytes:
    """Return just under 4 MiB of keys that are all different."""
    return b"{" + b",".join(b'"%x":1' % number for number in range(400_000)) + b"}"


def pages(exchange: Exchange) -> None:
    """List one referrer of 3 MiB, and say that there is more."""
    number = int(exchange.request.path.partition("?n=")[2] or 0)
    padding = {str(each): "x" * (MIB - 1) for each in range(3)}
    entry = {"mediaType": OCI_MANIFEST, "digest": f"sha256:{number:064x}", "size": 2, "annotations": padding}
    body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    answer(200, body, Content_Type=OCI_INDEX, Link=f'<?n={number + 1}>; rel="next"')(exchange)


def of_type(content: bytes) -> str:
    """Return the media type that a manifest says it has."""
    return OCI_INDEX if b'"manifests"' in content else OCI_MANIFEST


def altered(content: bytes) -> bytes:
    """Return other bytes, of which only one in the middle differs."""
    half = len(content) // 2
    return content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :]
