"""System packages: the parts of Debian and Ubuntu that the demo and the tests run on.

`tools/python -m tools.packages demo|test|parts` installs what is missing, with apt and root or sudo. What cannot be
had is named, with the reason and the command that would install it, and the tests that need it skip; with CI=true it
is an error.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.shell import Failed, in_ci, main, run, say, timed, works

INSTALL_SECONDS = 1200
UPDATE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class SystemPart:
    """A part by the name the tests use, its packages, and the programs that show that it is there."""

    packages: tuple[str, ...]
    programs: tuple[str, ...]
    services: tuple[str, ...] = ()
    """What the packages start by themselves; we only come for the programs."""


PARTS = {
    "docker-registry": SystemPart(("docker-registry",), ("docker-registry",), ("docker-registry",)),
    "postgresql": SystemPart(("postgresql",), ("initdb", "postgres")),
    "qemu": SystemPart(("qemu-system-x86",), ("qemu-system-x86_64",)),
    "docker": SystemPart(("docker.io",), ("dockerd",), ("docker.service", "docker.socket")),
    "chromium": SystemPart(("chromium", "chromium-driver"), ("chromium", "chromedriver")),
    # Go trusts what the system trusts, and a bare system trusts nobody.
    "certificates": SystemPart(("ca-certificates",), ("update-ca-certificates",)),
    # A forge keeps its repositories with it.
    "git": SystemPart(("git",), ("git",)),
    # What the template of a build repository builds images with.
    "image-tools": SystemPart(
        ("cpio", "curl", "erofs-utils", "openssl", "zstd"), ("cpio", "curl", "mkfs.erofs", "openssl", "zstd")
    ),
    # Reads the template's scripts.
    "shellcheck": SystemPart(("shellcheck",), ("shellcheck",)),
    # What who follows the tutorial takes answers apart with.
    "jq": SystemPart(("jq",), ("jq",)),
    # Gitea holds SQLite, which is C.
    "compiler": SystemPart(("gcc", "libc6-dev"), ("gcc",)),
}
NEEDED = {
    "demo": ("docker-registry", "git"),
    "test": ("docker-registry", "postgresql", "qemu", "chromium", "docker", "git", "image-tools", "jq", "shellcheck"),
    "parts": ("certificates", "compiler"),
}
WITHOUT = {
    "demo": "the demo gets itself a registry in another way, and without git leaves out its builds by the forge",
    "test": "tests that need them are skipped",
    "parts": "parts that need them cannot be built",
}


def find(name: str) -> Path | None:
    """Return the first program of a system part, or None unless all of its programs are there."""
    found = [find_program(program) for program in PARTS[name].programs]
    return found[0] if all(found) else None


def find_program(program: str) -> Path | None:
    """Look a program up on PATH, then where Debian puts what is not on everybody's PATH."""
    folders = [os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", *_postgresql_folders()]
    found = shutil.which(program, path=os.pathsep.join(folders))
    return Path(found) if found else None


def _postgresql_folders() -> list[str]:
    """Return the server programs' folders, newest version first."""
    folders = [folder for folder in Path("/usr/lib/postgresql").glob("*/bin") if folder.parent.name.isdigit()]
    return [str(folder) for folder in sorted(folders, key=lambda folder: int(folder.parent.name), reverse=True)]


def install(packages: Sequence[str]) -> None:
    """Install Debian packages; Failed says why that is not possible."""
    apt = [*_as_root(packages), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    # A fresh machine may be upgrading itself; a slow mirror must not hold us for ever.
    apt += ["-q", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3", "-o", "Acquire::http::Timeout=60"]
    fetch = [*apt, "install", "--no-install-recommends", *packages]
    if not any(Path("/var/lib/apt/lists").glob("*Packages*")):
        run(*apt, "update", timeout=UPDATE_SECONDS)
        run(*fetch, timeout=INSTALL_SECONDS)
        return
    try:
        run(*fetch, timeout=INSTALL_SECONDS)
    except Failed:  # lists of last month name versions that the mirror has dropped
        run(*apt, "update", timeout=UPDATE_SECONDS)
        run(*fetch, timeout=INSTALL_SECONDS)


def _as_root(packages: Sequence[str]) -> list[str]:
    command = f"sudo apt-get install --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise Failed("there is no apt-get here", hint=f"install what Debian calls {', '.join(packages)}")
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and works("sudo", "-n", "true"):
        return ["sudo", "-n"]
    raise Failed("this needs root, or sudo without a password", hint=command)


def _install_part(name: str) -> None:
    part = PARTS[name]
    install(part.packages)
    if part.services and Path("/run/systemd/system").is_dir():
        # docker-registry's package, for one, opens an open registry on port 5000 of every interface.
        run(*_as_root([name]), "systemctl", "disable", "--now", *part.services, timeout=60)
    if not find(name):
        raise Failed(f"the packages are installed, but not all of {', '.join(part.programs)} can be found")


def install_missing() -> None:
    """Install what the purpose in the first argument needs; name what cannot be had and go on."""
    missing = [name for name in NEEDED[sys.argv[1]] if not find(name)]
    try:
        _as_root([package for name in missing for package in PARTS[name].packages])
    except Failed as failure:
        if missing and in_ci():
            raise
        _tell(missing, failure)
        return
    for name in missing:
        try:
            timed(f"installing {name} ({' '.join(PARTS[name].packages)})", partial(_install_part, name))
        except Failed as failure:
            _tell([name], failure)
    absent = [name for name in missing if not find(name)]
    if absent and in_ci():
        raise Failed(f"not installed: {', '.join(absent)}", hint="with CI=true nothing is skipped")


def _tell(missing: Sequence[str], failure: Failed) -> None:
    if missing:
        hint = f"\n  hint: {failure.hint}" if failure.hint else ""
        say(f"not installed: {', '.join(missing)}: {failure}{hint}")
        say(f"  {WITHOUT[sys.argv[1]]}")


if __name__ == "__main__":
    main(install_missing)
