"""The local OCI registry: Debian's docker-registry, installed or unpacked into the home, else a container of it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from bootpress.stack import container
from bootpress.stack.environment import common
from bootpress.stack.errors import StackFailed
from bootpress.stack.home import Home, write_private
from bootpress.stack.ports import LOOPBACK
from bootpress.stack.processes import Spec, python

PACKAGE: Final = "docker-registry"
PROGRAM: Final = "usr/bin/docker-registry"
FETCH_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Choice:
    """How the registry is run (`spec`), or why it is not (`reason`)."""

    spec: Spec | None
    reason: str


def choose(home: Home, port: int) -> Choice:
    """Decide how to run a registry on a port of this machine, fetching its program where that is needed."""
    program = find_program(home)
    refusal = ""
    if program is None:
        try:
            program = unpack(fetch(home), home)
        except StackFailed as error:
            refusal = error.message
    if program is not None:
        return Choice(_program_spec(home, port, program), str(program))
    unavailable = container.why_unavailable()
    if unavailable is None:
        return Choice(_container_spec(home, port), f"a container of {container.IMAGE}")
    return Choice(None, f"{refusal}; {unavailable}")


def find_program(home: Home, path: str | None = None) -> Path | None:
    """Return the program where it is installed (on `path`, by default PATH), or unpacked into this home."""
    found = shutil.which(PACKAGE, path=path)
    if found:
        return Path(found)
    unpacked = home.tools / PACKAGE / PROGRAM
    return unpacked if os.access(unpacked, os.X_OK) else None


def fetch(home: Home) -> Path:
    """Download the Debian package into the home, which needs no root; StackFailed says why that was not possible."""
    if shutil.which("apt-get") is None:
        raise StackFailed("docker-registry is not installed, and there is no apt-get to fetch it with")
    folder = home.tools / "packages"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _run(
        "apt-get", "-q", "-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "download", PACKAGE, cwd=folder
    )
    packages = sorted(folder.glob(f"{PACKAGE}_*.deb"), key=lambda path: path.stat().st_mtime)
    if not packages:
        raise StackFailed("apt-get downloaded no package docker-registry")
    return packages[-1]


def unpack(package: Path, home: Home) -> Path:
    """Unpack the package whole or not at all, and return its program."""
    target = home.tools / PACKAGE
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        _run("dpkg-deb", "-x", str(package), scratch, cwd=target.parent)
        if not os.access(Path(scratch) / PROGRAM, os.X_OK):
            raise StackFailed(f"{package.name} holds no {PROGRAM}")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(scratch, target, symlinks=True)
    return target / PROGRAM


def is_ready(address: str) -> bool:
    """Tell whether a registry answers at `host:port`."""
    try:
        answer = httpx.get(f"http://{address}/v2/", timeout=1, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code in {httpx.codes.OK, httpx.codes.UNAUTHORIZED}


def _program_spec(home: Home, port: int, program: Path) -> Spec:
    config = _write_config(home, storage=str(home.registry), address=f"{LOOPBACK}:{port}")
    environment = common(home) | {"OTEL_TRACES_EXPORTER": "none"}
    return Spec("registry", (str(program), "serve", str(config)), environment)


def _container_spec(home: Home, port: int) -> Spec:
    config = _write_config(home, storage="/var/lib/registry", address=":5000")
    words = python("bootpress.stack.container", str(config), str(home.registry), str(port))
    # It removes its container before it ends, which the kernel's SIGKILL would not let it.
    return Spec("registry", words, common(home), death_signal=signal.SIGTERM)


def _write_config(home: Home, *, storage: str, address: str) -> Path:
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        # No blobdescriptor cache: it remembers what was deleted. No http.host: uploads go where the request came to.
        "storage": {"filesystem": {"rootdirectory": storage}, "delete": {"enabled": True}},
        "http": {"addr": address, "secret": secrets.token_hex(32)},
    }
    path = home.run / "registry.yml"
    write_private(path, yaml.safe_dump(config))
    return path


def _run(program: str, *words: str, cwd: Path) -> None:
    try:
        done = subprocess.run(
            [program, *words], cwd=cwd, check=False, capture_output=True, text=True, timeout=FETCH_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackFailed(f"{program} did not fetch docker-registry: {type(error).__name__}") from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise StackFailed(f"{program} did not fetch docker-registry: {said[:200]}")
