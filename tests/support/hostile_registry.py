"""A registry that does what it is told to, on a free loopback port: lies, breaks off, drips, redirects, never ends.

    with hostile_registry() as registry:
        registry.on("/v2/os/images/blobs/sha256:…", send(content[:10], length=len(content)), ranged(content))

Each request of a path takes the next of its behaviours; the last one stays. A behaviour is a function of an
`Exchange`: it writes what it likes to the socket. What was asked is in `requests`.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bootpress.adapters.oci.manifests import OCI_MANIFEST, digest_of


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    """With its query."""
    headers: Message
    connection: int
    """The port that the client came from: the same for all requests of one connection."""

    @property
    def authorization(self) -> str | None:
        """Return the credential that came along."""
        return self.headers.get("Authorization")


class Exchange:
    """One request, and the socket to answer it on."""

    def __init__(self, handler: BaseHTTPRequestHandler, stopped: threading.Event, count: Callable[[int], None]) -> None:
        self.request = Request(handler.command, handler.path, handler.headers, handler.client_address[1])
        self._handler, self._stopped, self._count = handler, stopped, count

    def head(self, status: int, headers: Mapping[str, str]) -> None:
        """Write status line and headers."""
        lines = [f"HTTP/1.1 {status} Word", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.write("\r\n".join(lines).encode("latin-1"))

    def write(self, raw: bytes) -> None:
        """Write bytes as they are; ConnectionError once the client or the test is gone."""
        if self._stopped.is_set():
            raise ConnectionAbortedError
        self._count(len(raw))
        self._handler.wfile.write(raw)
        self._handler.wfile.flush()

    def wait(self, seconds: float) -> None:
        """Let time pass; ConnectionError once the test is over."""
        if self._stopped.wait(seconds):
            raise ConnectionAbortedError

    def hang_up(self) -> None:
        """Close the connection after this answer."""
        self._handler.close_connection = True

    def reset(self) -> None:
        """Break the connection with a TCP reset."""
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()
        raise ConnectionResetError


Behaviour = Callable[[Exchange], None]


class HostileRegistry:
    """A running server: `host` is its `host:port`."""

    def __init__(self, port: int, scheme: str) -> None:
        self.host = f"127.0.0.1:{port}"
        self.port = port
        self.url = f"{scheme}://{self.host}"
        self.requests: list[Request] = []
        self.sent = 0
        """Bytes that were written, or that the last write of a connection did not come to an end with."""
        self._scripts: dict[str, list[Behaviour]] = {}
        self._lock = threading.Lock()

    def on(self, path: str, *behaviours: Behaviour) -> None:
        """Say what happens to the requests of a path, whatever their query, one after the other."""
        with self._lock:
            self._scripts[path] = list(behaviours)

    def asked(self, path: str) -> list[Request]:
        """Return the requests for a path."""
        with self._lock:
            return [request for request in self.requests if request.path.partition("?")[0] == path]

    def count(self, written: int) -> None:
        """Note what is being written."""
        with self._lock:
            self.sent += written

    def take(self, request: Request) -> Behaviour:
        """Note a request and return what happens to it."""
        with self._lock:
            self.requests.append(request)
            script = self._scripts.get(request.path.partition("?")[0], [answer(404)])
            return script.pop(0) if len(script) > 1 else script[0]


@contextmanager
def hostile_registry(tls: ssl.SSLContext | None = None) -> Iterator[HostileRegistry]:
    """Run one for the length of the block."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # answers are written in pieces

        def do(self) -> None:
            exchange = Exchange(self, stopped, registry.count)
            try:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                registry.take(exchange.request)(exchange)
            except OSError:  # the client is gone, or the test is over
                self.close_connection = True

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_CONNECT = do  # noqa: N815 - the names of the standard library

        def log_message(self, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: hanging up on us is what clients are tested for."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    registry = HostileRegistry(server.server_address[1], "https" if tls else "http")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def answer(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Behaviour:
    """Answer as a server should; an underscore in the name of a header is a hyphen."""
    raw = json.dumps(body).encode() if isinstance(body, dict) else body

    def behave(exchange: Exchange) -> None:
        exchange.head(status, {"Content-Length": str(len(raw)), **_spelled(headers)})
        if exchange.request.method != "HEAD":
            exchange.write(raw)

    return behave


def send(raw: bytes, *, length: int | None = None, **headers: str) -> Behaviour:
    """Send 200 with bytes under a Content-Length of one's choice, or none, and hang up."""

    def behave(exchange: Exchange) -> None:
        stated = {} if length is None else {"Content-Length": str(length)}
        exchange.hang_up()
        exchange.head(200, {**stated, "Connection": "close", **_spelled(headers)})
        exchange.write(raw)

    return behave


def ranged(content: bytes, *, stop_after: int | None = None, **headers: str) -> Behaviour:
    """Send what a Range header asks for (RFC 9110, 14.2), or the whole; hang up after some bytes of it."""

    def behave(exchange: Exchange) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", exchange.request.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        part = content[start:]
        placed = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if asked else {}
        exchange.head(206 if asked else 200, {"Content-Length": str(len(part)), **placed, **_spelled(headers)})
        if stop_after is not None and stop_after < len(part):
            exchange.hang_up()
            part = part[:stop_after]
        exchange.write(part)

    return behave


def drip(content: bytes, *, seconds: float, head: bool = False) -> Behaviour:
    """Send a byte now and then; of the headers already, if `head`."""

    def behave(exchange: Exchange) -> None:
        exchange.hang_up()
        raw = f"HTTP/1.1 200 Word\r\nX-Slow: {'x' * 1000}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        if not head:
            exchange.head(200, {"Content-Length": str(len(content))})
            raw = content
        for byte in raw:
            exchange.write(bytes([byte]))
            exchange.wait(seconds)

    return behave


def endless(chunk: bytes = b"\0" * 65536, **headers: str) -> Behaviour:
    """Send bytes without length and without end."""

    def behave(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.head(200, {"Connection": "close", **_spelled(headers)})
        while True:
            exchange.write(chunk)

    return behave


def silent() -> Behaviour:
    """Take the request and say nothing."""

    def behave(exchange: Exchange) -> None:
        exchange.wait(60)

    return behave


def reset(after: bytes = b"") -> Behaviour:
    """Break the connection, at once or after some raw bytes."""

    def behave(exchange: Exchange) -> None:
        if after:
            exchange.write(after)
            with contextlib.suppress(OSError):
                time.sleep(0.05)  # a reset overtakes what the client has not read yet
        exchange.reset()

    return behave


def redirect(location: str, status: int = 307) -> Behaviour:
    """Send elsewhere."""
    return answer(status, Location=location)


def demand(*challenges: str) -> Behaviour:
    """Ask for a credential."""

    def behave(exchange: Exchange) -> None:
        lines = "".join(f"WWW-Authenticate: {challenge}\r\n" for challenge in challenges)
        exchange.write(f"HTTP/1.1 401 Word\r\n{lines}Content-Length: 0\r\n\r\n".encode("latin-1"))

    return behave


def guarded(behaviour: Behaviour, *, by: str, challenge: str) -> Behaviour:
    """Do something only for those who bring this Authorization."""

    def behave(exchange: Exchange) -> None:
        (behaviour if exchange.request.authorization == by else demand(challenge))(exchange)

    return behave


def manifest(raw: bytes, *, media_type: str = OCI_MANIFEST, **headers: str) -> Behaviour:
    """Answer with a manifest, as a good registry does."""
    return answer(200, raw, **{"Content_Type": media_type, "Docker_Content_Digest": digest_of(raw), **headers})


def _spelled(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
