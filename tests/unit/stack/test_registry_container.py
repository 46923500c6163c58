"""A Docker daemon that breaks off: a reason, and no traceback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bootpress.stack import registry_container


class Daemon(BaseHTTPRequestHandler):
    """Tell the version, whether the image is there, and cut off everything else."""

    has_image = True

    def do_GET(self) -> None:
        if self.path.endswith("/version"):
            self.answer(200, {"ApiVersion": "1.44"})
        elif "/images/" in self.path and not self.has_image:
            self.answer(404, {"message": "No such image"})

    def answer(self, status: int, said: object) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        """Cut it off."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class WithoutImage(Daemon):
    """The image is to be pulled."""

    has_image = False


@pytest.fixture
def daemon(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), getattr(request, "param", Daemon)) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


@pytest.mark.parametrize(("daemon", "words"), [(Daemon, "be asked for"), (WithoutImage, "pull")], indirect=["daemon"])
@pytest.mark.usefixtures("daemon")
def test_a_daemon_that_cuts_us_off_is_a_reason(words: str) -> None:
    assert f"Docker cannot {words} {registry_container.IMAGE}: " in (registry_container.why_unavailable() or "")


@pytest.mark.usefixtures("daemon")
def test_a_daemon_that_cuts_off_a_removal_ends_it_with_a_reason() -> None:
    with pytest.raises(SystemExit, match="Docker cannot be asked to remove"):
        registry_container.remove("/a/storage")
