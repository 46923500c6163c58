from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from bootpress.stack import registry
from bootpress.stack.data import prefect_file
from bootpress.stack.errors import StackFailed
from bootpress.stack.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def package(folder: Path, program: str) -> Path:
    """Build a Debian package that holds one program."""
    root = folder / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: docker-registry\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: test\n"
    )
    path = root / program
    path.parent.mkdir(parents=True)
    path.write_text("#!/bin/sh\necho registry\n")
    path.chmod(0o755)
    deb = folder / "docker-registry_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, deb], check=True, capture_output=True)  # noqa: S607 - Debian's, from PATH
    return deb


def test_a_package_is_unpacked_into_the_home(home: Home, tmp_path: Path) -> None:
    nowhere = str(tmp_path)
    assert registry.find_program(home, path=nowhere) is None
    program = registry.unpack(package(tmp_path, "usr/bin/docker-registry"), home)
    assert program.is_relative_to(home.tools)
    assert subprocess.run([program], check=True, capture_output=True, text=True).stdout == "registry\n"
    assert registry.find_program(home, path=nowhere) == program


def test_a_package_without_the_program_leaves_nothing(home: Home, tmp_path: Path) -> None:
    with pytest.raises(StackFailed, match=r"holds no usr/bin/docker-registry"):
        registry.unpack(package(tmp_path, "usr/bin/other"), home)
    assert list(home.tools.iterdir()) == []


def test_a_broken_package_is_named(home: Home, tmp_path: Path) -> None:
    broken = tmp_path / "docker-registry_1_all.deb"
    broken.write_bytes(b"not a package")
    with pytest.raises(StackFailed, match="dpkg-deb did not"):
        registry.unpack(broken, home)


@pytest.mark.part("docker-registry")
def test_the_registry_listens_on_loopback_deletes_and_caches_nothing(home: Home) -> None:
    choice = registry.choose(home, 5999)
    assert choice.spec is not None
    path = Path(choice.spec.words[-1])
    config = yaml.safe_load(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert config["http"]["addr"] == "127.0.0.1:5999"
    assert config["storage"] == {"filesystem": {"rootdirectory": str(home.registry)}, "delete": {"enabled": True}}
    assert config["http"]["secret"] not in " ".join(choice.spec.words)
    assert os.access(choice.spec.words[0], os.X_OK)


def test_prefects_file_is_found() -> None:
    assert prefect_file().read_text().startswith("name: bootpress")
