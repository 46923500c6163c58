"""A real Docker daemon of the tests' own, and images made here: no image registry is asked.

It needs root; its data, its socket and its containers lie in a folder of the tests and end with them.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import docker

from tests.support import parts
from tests.support.processes import Program


@contextmanager
def running_daemon(path: Path) -> Iterator[str]:
    """Run dockerd with everything in `path`; give the URL of its socket, for DOCKER_HOST."""
    dockerd = parts.require("docker")
    if os.geteuid() != 0:
        parts.miss("docker", "a daemon of the tests' own needs root")
    path.mkdir(parents=True, exist_ok=True)
    url = f"unix://{path / 'docker.sock'}"
    words: list[str | Path] = [
        "--data-root",
        path / "data",
        "--exec-root",
        path / "exec",
        "--pidfile",
        path / "docker.pid",
        "-H",
        url,
    ]
    with Program([dockerd, *words], log=path / "dockerd.log") as program:
        program.wait_until(lambda: "API listen on" in program.output, what="the Docker daemon answers")
        yield url


def make_image(url: str, tag: str, programs: Sequence[Path], *, entrypoint: str) -> None:
    """Make an image of programs and the libraries that they load; `entrypoint` is one of the programs' paths."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for file in sorted({*programs, *(library for program in programs for library in _libraries(program))}):
            archive.add(file.resolve(), arcname=str(file).lstrip("/"))
    client = docker.DockerClient(base_url=url)
    try:
        client.api.import_image_from_data(
            packed.getvalue(),
            repository=tag.partition(":")[0],
            tag=tag.partition(":")[2],
            changes=[f'ENTRYPOINT ["{entrypoint}"]'],
        )
    finally:
        client.close()


def _libraries(program: Path) -> list[Path]:
    """Return what the loader would load; nothing for a static program."""
    ldd = shutil.which("ldd")
    assert ldd, "ldd (libc-bin) is missing"
    said = subprocess.run([ldd, program], check=False, capture_output=True, text=True, timeout=30).stdout
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", said)]
