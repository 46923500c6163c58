"""The project's environment: `.venv` from uv.lock, made by uv.

`tools/python -m tools.environment` makes it or brings it up to date; when nothing changed it only compares a
stamp. uv is the one on PATH if that is new enough, else the one uv.lock pins, kept under the cache.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import sys
import tomllib
from pathlib import Path

from tools import packages
from tools.shell import CACHE, ROOT, Failed, environment, main, run, say, timed, uv_environment, works

VENV = ROOT / ".venv"
STAMP = VENV / ".bootpress-setup"
OLDEST_UV = (0, 8)
INSTALL_SECONDS = 1200


def set_up() -> None:
    """Make `.venv` hold exactly what uv.lock says, and the project itself, editable."""
    stamp = _stamp()
    if _is_current(stamp):
        return
    uv = find_uv()
    # uv would look for an interpreter of its own choice, and load one if it could: we say which.
    interpreter = VENV / "bin" / "python" if _is_usable(VENV / "bin" / "python") else _base_interpreter()
    environ = uv_environment(UV_PROJECT_ENVIRONMENT=str(VENV))
    sync = ("sync", "--frozen", "--all-groups", "--compile-bytecode", "--python", str(interpreter))
    timed(
        f"setting up .venv with {_name(interpreter)}",
        lambda: run(uv, *sync, timeout=INSTALL_SECONDS, env=environ, cwd=ROOT),
    )
    STAMP.write_text(stamp)


def find_uv() -> Path:
    """Return a uv that works: from PATH, else our own."""
    on_path = shutil.which("uv")
    if on_path and uv_version(Path(on_path)) >= OLDEST_UV:
        return Path(on_path)
    home = CACHE / "tools" / f"uv-{_locked_version('uv')}"
    uv = home / "bin" / "uv"
    if not works(uv, "--version"):
        timed(f"installing uv {_locked_version('uv')}", lambda: _install_uv(home))
    return uv


def _install_uv(home: Path) -> None:
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        _install_venv_module()
    run(_base_interpreter(), "-m", "venv", "--clear", home, timeout=120, env=environment())
    wanted = f"uv=={_locked_version('uv')}"
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(home / "bin" / "python", *pip, wanted, timeout=300, env=environment())


def _install_venv_module() -> None:
    """Install what Debian takes out of Python's standard library."""
    package = f"python3.{sys.version_info.minor}-venv"
    try:
        packages.install([package])
    except Failed as failure:
        raise Failed(
            f"uv is not on PATH, and {sys.executable} has no venv module to install it with ({failure})",
            hint=failure.hint or f"install {package}, or uv",
        ) from failure


def uv_version(uv: Path) -> tuple[int, ...]:
    """Return (0,) for one that does not work, such as a pyenv shim without a version behind it."""
    try:
        found = re.search(r"uv (\d+)\.(\d+)", run(uv, "--version", timeout=20))
    except Failed:
        return (0,)
    return tuple(int(number) for number in found.groups()) if found else (0,)


def _locked_version(package: str) -> str:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    return next(str(entry["version"]) for entry in lock["package"] if entry["name"] == package)


def _stamp() -> str:
    """Describe everything that `.venv` depends on; it holds absolute paths, so the checkout's place is part of it."""
    files = (ROOT / "pyproject.toml", ROOT / "uv.lock", Path(__file__))
    return f"{ROOT} {hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()}\n"


def _is_current(stamp: str) -> bool:
    return STAMP.is_file() and STAMP.read_text() == stamp and _is_usable(VENV / "bin" / "python")


def _is_usable(python: Path) -> bool:
    """Tell whether an interpreter is there, starts (its base may be gone) and is not too old."""
    return python.exists() and works(python, "-c", "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))")


def _base_interpreter() -> Path:
    """Return the interpreter behind whatever environment we were started from: that one may be `.venv` itself."""
    return Path(getattr(sys, "_base_executable", sys.executable))


def _name(interpreter: Path) -> str:
    return run(interpreter, "--version", timeout=20).strip()


def report() -> None:
    """Set up, and say where the program is when asked for by hand."""
    set_up()
    if "--quiet" not in sys.argv:
        say(".venv is ready: .venv/bin/bootpress")


if __name__ == "__main__":
    main(report)
