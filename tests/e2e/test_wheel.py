"""The built wheel is the whole application: what it needs is in it, and it runs where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True)
class Installed:
    """A wheel, and the environment it was installed into."""

    wheel: Path
    home: Path

    def run(self, program: str, *arguments: str, seconds: float = 60) -> str:
        """Run one of its programs in an empty folder, and return what it printed."""
        done = _run(self.home / "bin" / program, *arguments, cwd=self.home, seconds=seconds)
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Build the wheel and install it, with what uv.lock pins, into an empty environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = ("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder)
    _run(UV, *build, ROOT, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    pins, home = folder / "pylock.toml", folder / "environment"
    export = ("export", "--frozen", "--no-dev", "--no-emit-project", "--format", "pylock.toml", "--output-file", pins)
    _run(UV, *export, cwd=ROOT)
    _run(UV, "venv", "--python", sys.executable, home, cwd=folder)
    into = ("--python", home / "bin" / "python")
    # From uv's cache, where set-up has put every one of them.
    _run(UV, "pip", "sync", *into, pins, cwd=folder, seconds=240)
    _run(UV, "pip", "install", "--no-deps", *into, wheel, cwd=folder)
    return Installed(wheel, home)


def test_the_wheel_carries_all_packages_and_what_prefect_deploys_from(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        names = set(wheel.namelist())
    expected = {"bootpress/__init__.py", "flows/__init__.py", "tasks/__init__.py", "blocks/__init__.py"}
    expected |= {"bootpress/py.typed", "bootpress/data/prefect.yaml"}
    template = "bootpress/data/deployments/build-repo"
    expected |= {f"{template}/.gitea/workflows/build-disk-image.yml", f"{template}/.gitignore", f"{template}/build.sh"}
    console = "bootpress/entrypoints/console"
    expected |= {f"{console}/console.css", f"{console}/templates/base.html", f"{console}/templates/publication.html"}
    assert expected - names == set()
    assert not [name for name in names if name.startswith(("tests/", "tools/", "benchmarks/", "docs/"))]


def test_every_module_of_the_wheel_is_imported_without_the_checkout(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as wheel:
        files = [name for name in wheel.namelist() if name.endswith(".py")]
    # Alembic runs its scripts itself, with names of their own.
    code = [name for name in files if "/data/" not in name and "/migrations/" not in name]
    names = sorted(name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in code)
    look = f"""
import importlib
for name in {names!r}:
    assert importlib.import_module(name).__file__.startswith({str(installed.home)!r}), name
"""
    installed.run("python", "-I", "-c", look, seconds=120)


def test_the_dependencies_it_declares_are_all_it_needs(installed: Installed) -> None:
    _run(UV, "pip", "check", "--python", installed.home / "bin" / "python", cwd=installed.home)


def test_the_command_line_starts(installed: Installed) -> None:
    told = installed.run("bootpress", "--help")
    assert all(command in told for command in ("up", "demo", "doctor", "call"))


@pytest.mark.part("docker-registry")
@pytest.mark.part("git")
def test_the_demo_runs_from_the_wheel(installed: Installed) -> None:
    told = installed.run("bootpress", "demo", "--home", str(installed.home / "demo"), seconds=240)
    assert "rejected:" in told
    assert "/runs/flow-run/" in told
    assert "│ signed it with the repository's key" in told
    assert "→ Completed" in told


def _run(program: Path, *arguments: str | Path, cwd: Path, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    words = [str(program), *map(str, arguments)]
    done = subprocess.run(words, cwd=cwd, env=environ, timeout=seconds, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done
