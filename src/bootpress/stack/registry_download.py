"""Download of the local registry, in a process of its own: `python -m bootpress.stack.registry_download HOME`.

It makes Debian's docker-registry available, unpacked into the home without root, else the image of a container, and
leaves in the home which of the two it was, or why neither.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bootpress.removal import remove_tree
from bootpress.stack import exec_child, registry_container
from bootpress.stack.errors import StackFailed
from bootpress.stack.home import Home, write_private

PACKAGE: Final = "docker-registry"
PROGRAM: Final = "usr/bin/docker-registry"
STEP_SECONDS: Final = 45
TIMEOUT: Final = "Acquire::http::Timeout=10"
"""Where the network swallows packets, a mirror is given up after so many seconds for each of its addresses."""


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What there is to run a registry with beside an installed program, or why there is nothing."""

    is_container: bool
    reason: str


def prepare(home: Home) -> None:
    """Fetch the program, else the image, and leave word of it for `outcome`."""
    refusal = ""
    try:
        unpack(fetch(home), home)
    except StackFailed as error:
        refusal = error.message
    unavailable = registry_container.why_unavailable() if refusal else None
    found = FetchResult(
        is_container=bool(refusal) and unavailable is None, reason=f"{refusal}; {unavailable}" if unavailable else ""
    )
    write_private(_word(home), json.dumps(asdict(found)))


def outcome(home: Home) -> FetchResult:
    """Return what `prepare` came to at this start."""
    try:
        return FetchResult(**json.loads(_word(home).read_text()))
    except (OSError, ValueError):
        return FetchResult(is_container=False, reason=f"{PACKAGE} is not installed, and could not be fetched in time")


def unpacked(home: Home) -> Path:
    """Return where the program lies in a home that it was unpacked into."""
    return home.tools / PACKAGE / PROGRAM


def fetch(home: Home) -> Path:
    """Download the Debian package into the home, which needs no root; StackFailed says why that was not possible."""
    if shutil.which("apt-get") is None:
        raise StackFailed("docker-registry is not installed, and there is no apt-get to fetch it with")
    folder = home.tools / "packages"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _run("apt-get", "-q", "-o", "Acquire::Retries=0", "-o", TIMEOUT, "download", PACKAGE, cwd=folder)
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
        if target.parent.is_symlink():
            raise StackFailed(f"{target.parent} is a symbolic link: nothing is unpacked elsewhere")
        remove_tree(target)
        shutil.copytree(scratch, target, symlinks=True)
    return unpacked(home)


def _run(*words: str, cwd: Path) -> None:
    program = words[0]
    # Neither program would notice that we were killed; the kernel ends it.
    wrapper = [sys.executable, "-I", "-S", exec_child.__file__, str(os.getpid()), str(int(signal.SIGKILL))]
    try:
        done = subprocess.run(
            [*wrapper, *words], cwd=cwd, check=False, capture_output=True, text=True, timeout=STEP_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackFailed(f"{program} did not fetch docker-registry: {type(error).__name__}") from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise StackFailed(f"{program} did not fetch docker-registry: {said[:200]}")


def _word(home: Home) -> Path:
    return home.run / "registry.json"


if __name__ == "__main__":
    prepare(Home(Path(sys.argv[1])))
