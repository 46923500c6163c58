"""A proxy that leads every CONNECT to one port of this machine, spoken to by HTTP or by HTTPS itself."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

POLL = 0.02


@contextmanager
def running_tunnel(port: int, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Run one to `port`; give its URL."""
    stopped = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            with socket.create_connection(("127.0.0.1", port)) as other:
                self.wfile.write(b"HTTP/1.1 200 Word\r\n\r\n")
                relay(self.connection, other, stopped)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": POLL}, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    finally:
        stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


def relay(one: socket.socket, other: socket.socket, stopped: threading.Event) -> None:
    """Pass on what either sends, until one of them ends."""
    while not stopped.is_set():
        for ready in select.select([one, other], [], [], POLL)[0]:
            data = ready.recv(1 << 16)
            if not data:
                return
            (other if ready is one else one).sendall(data)
