"""A JSON server on this machine that answers as it is told, and remembers what it was asked."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ScriptedServer:
    """Give the answers in `answers`, then `200 {}`; each after `seconds`."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.seen: list[tuple[str, str, str | None, bytes]] = []
        self.busy = self.most = 0
        self.seconds = 0.0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with outer._lock:
                    outer.seen.append((self.command, self.path, self.headers.get("Authorization"), body))
                    status, content = outer.answers.pop(0) if outer.answers else (200, b"{}")
                    outer.busy += 1
                    outer.most = max(outer.most, outer.busy)
                time.sleep(outer.seconds)
                with outer._lock:
                    outer.busy -= 1
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PATCH = do_POST  # noqa: N815 - the names that http.server calls

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/api"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
