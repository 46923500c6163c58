"""What sets a machine up leaves nothing half done, and takes nothing for working that is not."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import is_alive, wait_for
from tools import environment, packages, parts, shell
from tools.parts import Part

ROOT = Path(__file__).resolve().parents[2]
PART = Part(name="thing", version="1.2.3", module="example.test/thing", package="cmd/tool", go="1.26")


def script(path: Path, body: str) -> Path:
    """Write a shell script that stands for a program of the machine's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_a_built_part_lies_in_the_cache_under_its_own_name_and_nothing_beside_it(tmp_path: Path) -> None:
    go = script(
        tmp_path / "go", 'echo "$@" > "$GOBIN/tool"; echo "$GOFLAGS $GOTOOLCHAIN $CGO_ENABLED" >> "$GOBIN/tool"'
    )
    cache = tmp_path / "cache"
    parts.build(PART, go, cache)
    files = [path.relative_to(cache).as_posix() for path in cache.rglob("*") if path.is_file()]
    assert files == ["parts/thing/1.2.3/thing"]
    told = parts.cached(PART, cache).read_text()
    assert told == "install example.test/thing/cmd/tool@v1.2.3\n-trimpath -buildvcs=false local 0\n"


def test_a_part_with_replace_directives_is_built_in_its_modules_folder(tmp_path: Path) -> None:
    module = tmp_path / "module"
    module.mkdir()
    body = f"""
    case "$1" in
        mod) echo '{{"Dir": "{module}"}}' ;;
        build) shift; pwd > "$6"; echo "$@" >> "$6" ;;
    esac"""
    part = dataclasses.replace(PART, in_module=True, tags="sqlite", ldflags="-X main.Version=1", package="")
    parts.build(part, script(tmp_path / "go", body), tmp_path / "cache")
    folder, words = parts.cached(part, tmp_path / "cache").read_text().splitlines()
    assert folder == str(module)
    assert words.startswith("-tags sqlite -ldflags -X main.Version=1 -o ")
    assert words.endswith("/program ./")


def test_a_part_of_our_own_is_built_in_its_folder_and_nothing_is_fetched(tmp_path: Path) -> None:
    body = 'test "$1" = build || exit 1; pwd > "$3"'
    part = dataclasses.replace(PART, local="tools/referrers_registry", package="")
    parts.build(part, script(tmp_path / "go", body), tmp_path / "cache")
    assert parts.cached(part, tmp_path / "cache").read_text().strip() == str(ROOT / "tools/referrers_registry")


def test_what_a_part_reads_while_it_runs_lies_beside_it(tmp_path: Path) -> None:
    module = tmp_path / "module"
    for name in ("schema/storage.sql", "templates/a/b.tmpl", "templates/c.tmpl", "main.go"):
        (module / name).parent.mkdir(parents=True, exist_ok=True)
        (module / name).write_text(name)
        (module / name).chmod(0o444)
    body = f"""
    case "$1" in
        mod) echo '{{"Dir": "{module}"}}' ;;
        install) echo program > "$GOBIN/tool" ;;
    esac"""
    part = dataclasses.replace(PART, keeps=("schema/storage.sql", "templates"))
    go, cache = script(tmp_path / "go", body), tmp_path / "cache"
    for _ in range(2):  # the second replaces the first
        parts.build(part, go, cache)
    home = parts.cached(part, cache).parent
    files = sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())
    assert files == ["schema/storage.sql", "templates/a/b.tmpl", "templates/c.tmpl", "thing"]
    assert (home / "templates/a/b.tmpl").read_text() == "templates/a/b.tmpl"


def test_every_part_of_our_own_is_pinned_with_its_sums() -> None:
    for part in parts.PARTS:
        if part.local:
            assert f"module {part.module}" in (ROOT / part.local / "go.mod").read_text()
            assert (ROOT / part.local / "go.sum").read_text()


def test_a_build_that_fails_leaves_nothing_in_the_cache_and_says_why(tmp_path: Path) -> None:
    go = script(tmp_path / "go", 'echo half > "$GOBIN/tool"; echo "no such module" >&2; exit 1')
    with pytest.raises(shell.Failed, match="no such module"):
        parts.build(PART, go, tmp_path / "cache")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_parts_have_names_and_places_of_their_own() -> None:
    places = [parts.cached(part) for part in parts.PARTS]
    assert len(set(places)) == len(places)
    assert not {part.name for part in parts.PARTS} & packages.PARTS.keys()


def test_a_go_that_is_too_old_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "go", "echo go1.19.8")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert parts.find_go("1.19") == tmp_path / "go"
    with pytest.raises(shell.Failed, match=r"no Go of version 99\.0"):
        parts.find_go("99.0")


@pytest.mark.parametrize(
    ("body", "version"),
    [
        ("echo uv 0.13.9 '(x86_64)'", (0, 13)),
        ("echo 'pyenv: uv: command not found' >&2; exit 127", (0,)),
        ("echo something else", (0,)),
    ],
)
def test_a_uv_that_is_only_a_shim_is_not_taken_for_one(tmp_path: Path, body: str, version: tuple[int, ...]) -> None:
    assert environment.uv_version(script(tmp_path / "uv", body)) == version


def test_a_python_that_does_not_start_is_passed_over(tmp_path: Path) -> None:
    script(tmp_path / "python3", "echo 'pyenv: python3: command not found' >&2; exit 127")
    script(tmp_path / "python3.13", "exit 1")  # one that says it is too old
    (tmp_path / "python3.12").symlink_to(sys.executable)
    told = subprocess.run(
        [ROOT / "tools" / "python", "-c", "import sys; print(sys.executable)"],
        env={"PATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.strip() == str(tmp_path / "python3.12")


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    # The child holds the pipe open: ending its parent alone would leave us waiting for it.
    hangs = script(tmp_path / "hangs", f"sleep 60 & echo $! > {tmp_path}/child; wait")
    with pytest.raises(shell.Failed, match=r"did not finish within 0\.5 s"):
        shell.run(hangs, timeout=0.5)
    child = int((tmp_path / "child").read_text())
    wait_for(lambda: not is_alive(child), what="the child is gone", seconds=10)


def test_a_failed_program_is_shown_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(shell.Failed, match=r"(?s)ended with code 3.*the reason"):
        shell.run(script(tmp_path / "fails", "echo the reason >&2; exit 3"), timeout=20)


def test_the_environment_of_another_project_is_left_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", os.devnull)
    assert "VIRTUAL_ENV" not in shell.environment()
