"""A server on this machine that answers as a forge on a bad day does, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOME = "keeper/disk-images"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. A body that is not bytes is sent as it comes, and breaks off where it ends without `is_whole`."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    content_type: str = "application/json;charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = True
    hangs_up: bool = False
    """Whether the connection is closed without an answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    """With its query."""
    authorization: str | None
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path.removeprefix('/api/v1')}"


def said(document: object, status: int = 200, **headers: str) -> Reply:
    """Answer with JSON."""
    return Reply(status, json.dumps(document).encode(), headers={k.replace("_", "-"): v for k, v in headers.items()})


def refused(status: int, message: str) -> Reply:
    """Refuse as Gitea does."""
    return said({"message": message, "url": "http://forge/api/swagger"}, status)


def repository(**more: object) -> Reply:
    """Describe the repository."""
    whole = {"admin": True, "push": True, "pull": True}
    owner, name = HOME.split("/")
    document = {
        "owner": {"login": owner},
        "name": name,
        "default_branch": "main",
        "empty": False,
        "has_actions": True,
        "html_url": f"http://forge/{HOME}",
        "permissions": whole,
    }
    return said(document | more)


class ScriptedForge:
    """Answers by `METHOD /path`, below `/api/v1` and without the query: each list's next, its last again and again."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Reply]] = {
            "GET /version": [said({"version": "1.26.4"})],
            "GET /user": [said({"login": "keeper"})],
            f"GET /repos/{HOME}": [repository()],
        }
        self.asked: list[Asked] = []
        self.before: Callable[[Asked], None] = lambda _: None
        """Called with each request, on the server's thread."""
        self.is_down = False
        """Whether it hangs up on everybody."""
        self._lock = threading.Lock()
        self._http = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def reply(self, asked: Asked) -> Reply:
        """Choose the answer."""
        key = f"{asked.method} {asked.path.partition('?')[0].removeprefix('/api/v1')}"
        with self._lock:
            self.asked.append(asked)
            listed = self.answers.get(key) or [refused(404, "not found")]
            return listed.pop(0) if len(listed) > 1 else listed[0]

    def calls(self) -> list[str]:
        """Return what was asked so far."""
        with self._lock:
            return [str(asked) for asked in self.asked]

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that leave: they are meant to."""


def _handler(forge: ScriptedForge) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = Asked(self.command, self.path, self.headers.get("Authorization"), body)
            forge.before(asked)
            reply = forge.reply(asked)
            if reply.hangs_up or forge.is_down:
                self.close_connection = True
                return
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if isinstance(reply.body, bytes):
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            else:
                self.send_pieces(reply)

        def send_pieces(self, reply: Reply) -> None:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.close_connection = True
            try:
                for piece in reply.body:
                    assert isinstance(piece, bytes)
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                if reply.is_whole:
                    self.wfile.write(b"0\r\n\r\n")
            except OSError:
                return  # the reader has left

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler
