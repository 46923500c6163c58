"""Stand between a forge and its callers: remember what was asked and said, and hold a request back until told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

HELD_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """One request and its answer."""

    method: str
    path: str
    """After `/api/v1`, with its query."""
    body: bytes
    answer: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class ForgeProxy:
    """What lies between; `url` is where callers find it."""

    target: str
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    holds: str | None = None
    """The end of the path of a PUT whose answer is not passed on: the forge has done it, and nobody hears of it."""
    held: threading.Event = field(default_factory=threading.Event)
    free: threading.Event = field(default_factory=threading.Event)

    def hold(self, path: str) -> None:
        """Hold the answer to the next PUT of this path back."""
        self.held.clear()
        self.free.clear()
        self.holds = path

    def since(self, start: int) -> list[str]:
        """Return what was asked since there were so many requests, in order."""
        return [str(one) for one in self.asked[start:]]

    def pass_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> httpx.Response:
        """Ask the forge."""
        kept = {name: value for name, value in headers.items() if name.lower() in {"authorization", "content-type"}}
        answer = httpx.request(method, f"{self.target}{path}", content=body, headers=kept, trust_env=False, timeout=60)
        self.asked.append(Asked(method, path.removeprefix("/api/v1"), body, answer.content))
        if method == "PUT" and self.holds is not None and path.endswith(self.holds):
            self.holds = None
            self.held.set()
            self.free.wait(HELD_SECONDS)
        return answer


@contextmanager
def running_proxy(target: str) -> Iterator[ForgeProxy]:
    """Run one in front of a forge."""
    proxy = ForgeProxy(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            answer = proxy.pass_on(self.command, self.path, dict(self.headers), body)
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "text/plain"))
            for name in ("X-Total-Count", "Link"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            try:
                self.wfile.write(answer.content)
            except OSError:  # its caller is dead by now
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing of callers that died."""

    server = Server(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="forge-proxy")
    thread.start()
    try:
        yield proxy
    finally:
        proxy.free.set()
        server.shutdown()
        thread.join()
        server.server_close()
