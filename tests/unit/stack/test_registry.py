from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bootpress.stack import registry, registry_download
from bootpress.stack.data import prefect_yaml_path
from bootpress.stack.errors import StackFailed
from bootpress.stack.home import Home
from bootpress.stack.registry import LocalRegistry
from bootpress.stack.supervisor import Signals, Supervisor
from tests.support.ports import free_port
from tests.support.processes import is_alive, wait_for


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def package(folder: Path, program: str, text: str = "echo registry") -> Path:
    """Build a Debian package that holds one program."""
    root = folder / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: docker-registry\nVersion: 1\nArchitecture: all\nMaintainer: T <t@example.org>\nDescription: test\n"
    )
    path = root / program
    path.parent.mkdir(parents=True)
    write_program(path, text)
    deb = folder / "docker-registry_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, deb], check=True, capture_output=True)  # noqa: S607 - Debian's, from PATH
    return deb


def test_a_package_is_unpacked_into_the_home(home: Home, tmp_path: Path) -> None:
    nowhere = str(tmp_path)
    assert registry.find_program(home, path=nowhere) is None
    program = registry_download.unpack(package(tmp_path, "usr/bin/docker-registry"), home)
    assert program.is_relative_to(home.tools)
    assert subprocess.run([program], check=True, capture_output=True, text=True).stdout == "registry\n"
    assert registry.find_program(home, path=nowhere) == program


def test_a_package_without_the_program_leaves_nothing(home: Home, tmp_path: Path) -> None:
    with pytest.raises(StackFailed, match=r"holds no usr/bin/docker-registry"):
        registry_download.unpack(package(tmp_path, "usr/bin/other"), home)
    assert list(home.tools.iterdir()) == []


def test_a_broken_package_is_named(home: Home, tmp_path: Path) -> None:
    broken = tmp_path / "docker-registry_1_all.deb"
    broken.write_bytes(b"not a package")
    with pytest.raises(StackFailed, match="dpkg-deb did not"):
        registry_download.unpack(broken, home)


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


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only folder of PATH on a machine that has neither the program nor Docker."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    return folder


@pytest.fixture
def supervisor(home: Home) -> Iterator[Supervisor]:
    with Signals() as signals:
        supervisor = Supervisor(home, signals)
        yield supervisor
        supervisor.stop([])


def write_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.usefixtures("bare")
def test_a_machine_that_has_nothing_is_told_so(home: Home, supervisor: Supervisor) -> None:
    local = LocalRegistry(home, free_port(), supervisor)
    local.start()
    reason = local.wait_until_ready()
    assert reason.startswith("docker-registry is not installed, and there is no apt-get")
    assert reason.endswith("; no Docker daemon answers")
    assert supervisor.pids == {}


@pytest.mark.part("docker-registry")
def test_what_apt_get_downloads_is_unpacked_and_run(
    home: Home, supervisor: Supervisor, bare: Path, tmp_path: Path
) -> None:
    found = shutil.which("docker-registry", path="/usr/bin:/usr/local/bin")
    for name in ("dpkg-deb", "tar"):
        (bare / name).symlink_to(f"/usr/bin/{name}")
    deb = package(tmp_path, "usr/bin/docker-registry", text=f'exec {found} "$@"')
    write_program(bare / "apt-get", f'/bin/cp {deb} . && echo "$@" > {tmp_path}/words')
    local = LocalRegistry(home, free_port(), supervisor)
    local.start()
    assert local.wait_until_ready() == ""
    assert registry.is_ready(local.address)
    assert (tmp_path / "words").read_text().endswith("download docker-registry\n")
    assert set(supervisor.pids) == {"registry"}


def test_fetching_that_takes_too_long_is_ended_with_apt_get(home: Home, supervisor: Supervisor, bare: Path) -> None:
    """And a signal meanwhile is heard at once: nothing of it happens on the main thread."""
    pid = bare / "pid"
    write_program(bare / "apt-get", f"echo $$ > {pid}; exec /bin/sleep 60")
    local = LocalRegistry(home, free_port(), supervisor, fetch_seconds=1.5)
    local.start()
    supervisor.wait_until(lambda: pid.exists() and pid.read_text() != "", what="apt-get runs", seconds=20)
    assert "could not be fetched in time" in local.wait_until_ready()
    wait_for(lambda: not is_alive(int(pid.read_text())), what="apt-get is gone", seconds=5)


def test_apt_get_ends_with_the_process_that_fetches(home: Home, supervisor: Supervisor, bare: Path) -> None:
    pid = bare / "pid"
    write_program(bare / "apt-get", f"echo $$ $PPID > {pid}; exec /bin/sleep 60")
    LocalRegistry(home, free_port(), supervisor).start()
    supervisor.wait_until(lambda: pid.exists() and pid.read_text() != "", what="apt-get runs", seconds=20)
    program, parent = map(int, pid.read_text().split())
    os.kill(parent, signal.SIGKILL)
    wait_for(lambda: not is_alive(program), what="apt-get is gone", seconds=5)


def test_prefects_file_is_found() -> None:
    assert prefect_yaml_path().read_text().startswith("name: bootpress")
