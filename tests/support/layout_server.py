"""A layout served as a registry without the referrers API, on a free loopback port; what is asked reaches the fake."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bootpress.core.errors import ContentRejected
from bootpress.core.ports import DeleteResult
from bootpress.core.references import Repository
from tests.support.layouts import LayoutRegistry

_CONTENT = re.compile(r"/v2/.+/(manifests|blobs)/([^/?]+)")
_STATUSES = {
    DeleteResult.DELETED: 202,
    DeleteResult.ABSENT: 404,
    DeleteResult.UNSUPPORTED: 405,
    DeleteResult.DENIED: 403,
    DeleteResult.REFUSED: 409,
}


@contextmanager
def served(layout: LayoutRegistry) -> Iterator[str]:
    """Serve a layout until the end of the block; give `host:port`."""
    repository = Repository("127.0.0.1", "any")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = _CONTENT.fullmatch(self.path)
            if found is None:
                return self._answer(200 if self.path == "/v2/" else 404)
            digest = layout.tags.get(found[2], found[2])
            if found[1] == "manifests" and digest in layout.blobs:
                try:
                    layout.fetch_manifest(repository, digest)
                except ContentRejected:
                    return self._answer(404)
            content = layout.blobs.get(digest)
            return self._answer(404) if content is None else self._answer(200, content)

        def do_DELETE(self) -> None:
            found = _CONTENT.fullmatch(self.path)
            self._answer(_STATUSES[layout.delete_manifest(repository, found[2])] if found else 404)

        def _answer(self, status: int, content: bytes = b"") -> None:
            self.send_response(status)
            media_type = json.loads(content).get("mediaType") if content.startswith(b'{"schemaVersion"') else None
            self.send_header("Content-Type", media_type or "application/octet-stream")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
