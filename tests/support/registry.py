"""A real registry: Debian's docker-registry on a free loopback port, its storage in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support import services
from tests.support.ports import free_port
from tests.support.processes import Program, listens


@contextmanager
def running_registry(
    path: Path,
    *,
    port: int | None = None,
    delete: bool = True,
    auth: Mapping[str, Any] | None = None,
    tls: Path | None = None,
) -> Iterator[str]:
    """Run a registry that keeps its content in `path`; give its `host:port`.

    `port` lets one come back where it was; `auth` is that section of its configuration; `tls` is a file with
    key and certificate.
    """
    program_path = services.require("docker-registry")
    port = port or free_port()
    path.mkdir(parents=True, exist_ok=True)
    config = path / "config.yml"
    config.write_text(yaml.safe_dump(_config(path, port, delete=delete, auth=auth, tls=tls)))
    environment = {"OTEL_TRACES_EXPORTER": "none"}
    with Program([program_path, "serve", config], log=path / "registry.log", env=environment) as program:
        program.wait_until(lambda: listens(port), what="the registry answers")
        yield f"127.0.0.1:{port}"


def _config(path: Path, port: int, *, delete: bool, auth: Mapping[str, Any] | None, tls: Path | None) -> dict[str, Any]:
    secured = {"tls": {"certificate": str(tls), "key": str(tls)}} if tls else {}
    return {
        "version": 0.1,
        "log": {"level": "info"},
        # No blobdescriptor cache: it remembers what was deleted. No http.host: uploads go where the request came to.
        "storage": {"filesystem": {"rootdirectory": str(path / "storage")}, "delete": {"enabled": delete}},
        "http": {"addr": f"127.0.0.1:{port}", **secured},
        **({"auth": dict(auth)} if auth else {}),
    }
