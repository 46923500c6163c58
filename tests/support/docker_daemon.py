"""A real Docker daemon of the tests' own, and images made here: no image registry is asked.

It needs root; its data, its socket and its containers lie in a folder of the tests and end with them.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import docker

from tests.support import services
from tests.support.processes import Program


@contextmanager
def running_daemon(path: Path) -> Iterator[str]:
    """Run dockerd with everything in `path`; give the URL of its socket, for DOCKER_HOST."""
    dockerd = services.require("docker")
    if os.geteuid() != 0:
        services.miss("docker", "a daemon of the tests' own needs root")
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
    try:
        with Program([dockerd, *words], log=path / "dockerd.log") as program:
            program.wait_until(lambda: "API listen on" in program.output, what="the Docker daemon answers")
            yield url
    finally:
        _unmount(path)


def _unmount(path: Path) -> None:
    """Unmount what a daemon leaves behind, such as the network of the machine, so that its folder can be removed."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((one for one in mounted if one.startswith(f"{path}/")), reverse=True):
        subprocess.run([shutil.which("umount") or "umount", "--lazy", place], check=True, timeout=30)


def make_image(
    url: str,
    tag: str,
    programs: Sequence[Path],
    *,
    entrypoint: Sequence[str],
    files: Mapping[str, Path] | None = None,
    changes: Sequence[str] = (),
) -> None:
    """Make an image of programs and the libraries that they load, at their own paths, and of files by their path there.

    `changes` are lines of a Dockerfile.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for file in sorted({*programs, *_libraries(programs)}):
            archive.add(file.resolve(), arcname=str(file).lstrip("/"))
        for path, source in (files or {}).items():
            archive.add(source, arcname=path.lstrip("/"))
    client = docker.DockerClient(base_url=url)
    try:
        client.api.import_image_from_data(
            packed.getvalue(),
            repository=tag.partition(":")[0],
            tag=tag.partition(":")[2],
            changes=[f"ENTRYPOINT {json.dumps(list(entrypoint))}", *changes],
        )
    finally:
        client.close()


def _libraries(programs: Sequence[Path]) -> list[Path]:
    """Return what the loader would load; nothing for a static program."""
    ldd = shutil.which("ldd")
    assert ldd, "ldd (libc-bin) is missing"
    said = subprocess.run([ldd, *programs], check=False, capture_output=True, text=True, timeout=60).stdout
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", said)]
