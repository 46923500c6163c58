"""What stands in front of the local registry, which has no login: a check of Host and origin for each connection.

    python -m bootpress.stack.registry_guard FOLDER PORT [--allow-host HOST…] -- PROGRAM [WORD…]

It runs the program, which listens on the socket `registry.sock` in the folder, and listens on loopback itself. The
first request of a connection decides. A client of this machine that is no browser gets the connection, which is then
relayed as it is. For a browser, and for a proxy, whose connections are shared, one request is passed on and no other.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import h11

from bootpress.core.request_origins import SAFE_METHODS, OwnHosts, is_browser, refusal
from bootpress.stack import exec_child, splicing
from bootpress.stack.idle_connections import Bounds, Connection, ConnectionTable
from bootpress.stack.ports import LOOPBACK

SOCKET: Final = "registry.sock"
FILES_EACH: Final = 6
"""Two sockets, and two pipes with two ends each."""
OTHER_FILES: Final = 64
MAX_HEAD: Final = 32 * 1024
FORWARDED: Final = frozenset({b"forwarded", b"via", b"x-real-ip"})
FORWARDED_PREFIX: Final = b"x-forwarded-"
"""What proxies add; one of them may send requests of many clients on one connection."""
HEAD_SECONDS: Final = 10.0
TAKING_SECONDS: Final = 30.0
"""How long whoever was refused may take to read why."""
AGAIN_SECONDS: Final = 0.2
SWEEP_SECONDS: Final = 5.0
"""How often idle connections are looked for."""
STOPPING_SECONDS: Final = 10.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class Head:
    """The first request of a connection: parsed, every byte that has come so far, and what of it is the body's."""

    request: h11.Request
    received: bytes
    body: bytes

    @property
    def is_direct(self) -> bool:
        """Whether a client of this machine holds the connection alone, and is no browser."""
        headers = list(self.request.headers)
        names = {name for name, _ in headers}
        host = next((value.decode("latin-1") for name, value in headers if name == b"host"), "")
        is_forwarded = any(name in FORWARDED or name.startswith(FORWARDED_PREFIX) for name in names)
        return not is_browser(headers) and OwnHosts().has(host) and not is_forwarded


class Refused(Exception):
    """The connection is answered with `status` and a reason, and ends."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """Accepts connections on a thread of its own; each has two, within the bounds."""

    def __init__(self, own: OwnHosts, upstream: str, bounds: Bounds) -> None:
        self._own = own
        self._upstream = upstream
        self._table = ConnectionTable(bounds)

    def serve(self, listener: socket.socket) -> None:
        """Accept until the process ends; where there is no room, the connection that is idle for longest ends."""
        listener.settimeout(SWEEP_SECONDS)
        while True:
            self._table.cut_off_idle()
            try:
                client, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError as error:  # the client has gone already, or the system has no room: others may still come
                _wait_after(error)
            else:
                self._begin(self._table.add(client))

    def _begin(self, connection: Connection) -> None:
        try:
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
        except RuntimeError as error:  # the system has no room for a thread
            self._end(connection)
            _wait_after(error)

    def _answer(self, connection: Connection) -> None:
        try:
            self._admit(connection)
        except OSError:  # the client has gone; there is nobody to tell
            pass
        except RuntimeError as error:  # no room for a second thread
            _wait_after(error)
        finally:
            self._end(connection)

    def _end(self, connection: Connection) -> None:
        self._table.remove(connection)
        connection.close()

    def _admit(self, connection: Connection) -> None:
        client = connection.client
        try:
            head = read_head(client)
            self._judge(head.request)
            upstream = self._connect()
            self._table.serve_by(connection, upstream)
            client.settimeout(None)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upstream.sendall(head.received if head.is_direct else _only_this(head))
            self._table.touch(connection, upstream)
            splicing.relay(client, upstream, lambda sink: self._table.touch(connection, sink))
        except Refused as refused:
            _send_refusal(client, refused)

    def _judge(self, request: h11.Request) -> None:
        headers, method = list(request.headers), request.method.decode()
        reason = refusal(method, headers, self._own, target=request.target.decode("latin-1"))
        if not reason and is_browser(headers) and method not in SAFE_METHODS:
            reason = "this registry takes nothing from browsers"
        if reason:
            raise Refused(403, reason)

    def _connect(self) -> socket.socket:
        upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            upstream.connect(self._upstream)
        except OSError as error:
            upstream.close()
            raise Refused(503, "the registry is starting or has ended") from error
        return upstream


def _wait_after(error: Exception) -> None:
    print(f"no connection: {error}", flush=True)  # noqa: T201 - its log
    time.sleep(AGAIN_SECONDS)


def read_head(client: socket.socket) -> Head:
    """Read the first request's head, within bounds of size and time; Refused for what is none."""
    parser, received = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD), b""
    deadline = time.monotonic() + HEAD_SECONDS
    try:
        while (event := parser.next_event()) is h11.NEED_DATA:
            client.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = client.recv(MAX_HEAD)
            received += piece
            parser.receive_data(piece)
    except TimeoutError as error:
        raise Refused(408, f"no request came within {HEAD_SECONDS:.0f} s") from error
    except h11.RemoteProtocolError as error:
        raise Refused(error.error_status_hint, "this is no HTTP/1.1") from error
    if not isinstance(event, h11.Request):
        raise OSError("the client has left")
    body, _ = parser.trailing_data
    return Head(event, received, bytes(body))


def _only_this(head: Head) -> bytes:
    """Return what came so far as the only request of its connection: the registry hangs up after its answer."""
    request = head.request
    kept = [(name, value) for name, value in request.headers if name != b"connection"]
    alone = h11.Request(method=request.method, target=request.target, headers=[*kept, (b"connection", b"close")])
    return (h11.Connection(h11.CLIENT).send(alone) or b"") + head.body


def _send_refusal(client: socket.socket, refused: Refused) -> None:
    """Answer as registries do (OCI distribution 1.1, error codes), then hang up."""
    message = f"{refused}; BOOTPRESS_ALLOWED_HOSTS names further Hosts of this registry"
    code = "DENIED" if refused.status == 403 else "UNAVAILABLE"  # noqa: PLR2004 - HTTP's own number
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    head = (
        f"HTTP/1.1 {refused.status} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    client.settimeout(TAKING_SECONDS)
    client.sendall(head.encode() + body)
    client.shutdown(socket.SHUT_WR)
    _drain(client)


def _drain(client: socket.socket) -> None:
    """Read a little of what still comes: a reset would take the answer from the client's buffer."""
    deadline, left = time.monotonic() + HEAD_SECONDS, 32 * MAX_HEAD
    while left > 0 and time.monotonic() < deadline:
        client.settimeout(HEAD_SECONDS)
        piece = client.recv(MAX_HEAD)
        if not piece:
            return
        left -= len(piece)


def run(folder: Path, port: int, words: Sequence[str], own: OwnHosts) -> int:
    """Run the program and the guard until one of them ends or SIGTERM comes; return the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # before there is a thread that would take one
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chdir(folder)  # the path of a socket has 108 bytes, and a home may lie deeper
    Path(SOCKET).unlink(missing_ok=True)
    listener = socket.create_server((LOOPBACK, port), backlog=Bounds().connections)
    guard = Guard(own, SOCKET, Bounds(connections=_affordable()))
    mortal = [sys.executable, "-I", "-S", exec_child.__file__, str(os.getpid()), str(int(signal.SIGTERM)), *words]
    with subprocess.Popen(mortal) as program:
        threading.Thread(target=guard.serve, args=(listener,), daemon=True).start()
        while program.poll() is None and signal.sigwait(_SIGNALS) == signal.SIGCHLD:
            pass
        with suppress(ProcessLookupError):
            program.terminate()
        try:
            program.wait(STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            program.kill()
    return max(program.returncode, 0)


def _affordable() -> int:
    """Return how many connections the files that may be open are enough for, as many as the system lets us."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = Bounds().connections
    wanted = connections * FILES_EACH + OTHER_FILES
    if now == resource.RLIM_INFINITY or now >= wanted:
        return connections
    files = wanted if most == resource.RLIM_INFINITY else min(most, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    return max((files - OTHER_FILES) // FILES_EACH, 1)


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="bootpress.stack.registry_guard", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--allow-host", action="append", default=[], help="a further Host; may be given again")
    parser.add_argument("words", nargs="+", help="the program and its words, after --")
    given = parser.parse_args()
    return run(given.folder, given.port, given.words, OwnHosts(frozenset(given.allow_host)))


if __name__ == "__main__":
    sys.exit(main())
