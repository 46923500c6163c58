"""Which folder becomes a home: nothing that is not ours is written, changed or deleted."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from rich.console import Console

from bootpress import schema
from bootpress.core.database import Database
from bootpress.core.errors import InvalidInput
from bootpress.settings import Settings
from bootpress.stack import claiming
from bootpress.stack.claiming import Standing, judge
from bootpress.stack.doctor import examine
from bootpress.stack.home import Home
from bootpress.stack.temporary_stack import scratch_home
from bootpress.stack.up import up
from tests.support.trees import nested, snapshot

pytestmark = pytest.mark.slow


def refused(folder: Path, look: Callable[[Path], object] = snapshot) -> str:
    """Let `up` and the demo refuse a folder; return what `up` said. Nothing in it, or of it, changes."""
    before = look(folder)
    with pytest.raises(InvalidInput) as caught:
        up(Settings(home=folder))
    with pytest.raises(InvalidInput), scratch_home(folder, Console(), keep=False):
        pytest.fail("the demo took it")
    assert look(folder) == before
    assert str(folder) in caught.value.message
    assert caught.value.hint
    return caught.value.message


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("precious")


def predecessor(folder: Path) -> Path:
    """Make what a version without markers left behind: stopped, with a registry and a run's leftovers."""
    for name in ("logs", "run", "prefect", "registry", "tmp", "cache", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "up.lock").write_text("12345\n")
    (folder / "ports.json").write_text('{"api": 8480, "prefect": 4200, "registry": 5000}\n')
    (folder / "encryption.key").write_bytes(Fernet.generate_key())
    (folder / "worker.name").write_text("host-abc\n")
    sqlite3.connect(folder / "bootpress.db").execute("CREATE TABLE kept (x)").connection.close()
    write(folder, "run/registry.yml", "tmp/left", "registry/blob")
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ("notes.txt",),
        (".hidden",),
        ("run/keep", "tmp/keep"),
        ("run/keep", "tmp/keep", "logs/keep", "data/keep"),
        ("up.lock",),
        ("ports.json", "up.lock", "encryption.key"),
        ("prefect/prefect.db", "tmp/keep"),
        ("prefect/prefect.db", "notes.txt"),
        ("endpoints.json", "bootpress.db", "admin.token", "tmp/keep"),
        ("pyproject.toml", "src/bootpress/__init__.py", "run/keep"),
        ("bootpress-home.json",),
        ("bootpress-home.json/file",),
    ],
)
def test_a_folder_that_is_not_empty_and_no_home_is_refused_and_left_as_it_is(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    folder = tmp_path / "theirs"
    write(folder, *names)
    folder.chmod(0o755)
    refused(folder)


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    write(tmp_path / "f", "a", "b", "c", "d", "e")
    assert refused(tmp_path / "f").endswith("it holds a, b, c and 2 more")


@pytest.mark.parametrize("is_there", [False, True])
def test_a_new_and_an_empty_folder_become_homes(tmp_path: Path, *, is_there: bool) -> None:
    folder = tmp_path / "new" / "home"
    if is_there:
        folder.mkdir(parents=True)
    Home(folder).create()
    assert json.loads((folder / "bootpress-home.json").read_text())["version"] == 1
    assert judge(folder) is Standing.HOME
    before = (folder / "bootpress-home.json").stat().st_mtime_ns
    Home(folder).create()
    assert (folder / "bootpress-home.json").stat().st_mtime_ns == before


def test_a_first_start_that_died_before_its_marker_was_whole_is_taken_up(tmp_path: Path) -> None:
    write(tmp_path / "home", ".bootpress-home.json.4711")
    Home(tmp_path / "home").create()
    assert judge(tmp_path / "home") is Standing.HOME


def test_a_marker_that_is_nested_too_deeply_to_be_read_is_none(tmp_path: Path) -> None:
    write(tmp_path / "home", "mine")
    (tmp_path / "home" / "bootpress-home.json").write_text("[" * 4000)
    assert "is no marker" in refused(tmp_path / "home")
    assert next(iter(examine(Settings(home=tmp_path / "home"), {}))).name == "home"


def test_a_new_volume_is_empty(tmp_path: Path) -> None:
    (tmp_path / "home" / "lost+found").mkdir(parents=True)
    Home(tmp_path / "home").create()
    assert (tmp_path / "home" / "lost+found").is_dir()


def test_a_home_of_the_version_before_is_adopted_once_with_all_that_lies_in_it(tmp_path: Path) -> None:
    folder = predecessor(tmp_path / "home")
    write(folder, "backups/of-mine", "README-mine")
    assert judge(folder) is Standing.UNMARKED
    kept = {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name not in {"run", "tmp"}
    }
    home = Home(folder)
    home.create()
    assert judge(folder) is Standing.HOME
    home.clear()
    assert {path: path.read_bytes() for path in kept} == kept
    assert [list((folder / name).iterdir()) for name in ("run", "tmp")] == [[], []]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "ports.json").write_text('{"port": 1}'),
        lambda folder: (folder / "ports.json").unlink(),
        lambda folder: (folder / "up.lock").write_text("something else"),
        lambda folder: [(folder / name).write_text("x") for name in ("encryption.key", "bootpress.db")],
    ],
)
def test_what_only_looks_like_one_of_the_version_before_is_refused(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    folder = predecessor(tmp_path / "home")
    spoil(folder)
    refused(folder)


def test_a_home_of_the_version_before_that_never_came_to_its_ports_is_adopted(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    for name in ("logs", "run", "prefect", "registry", "tmp", "cache", "data"):
        (folder / name).mkdir(parents=True)
    (folder / "up.lock").write_text("12345\n")
    Home(folder).create()
    assert judge(folder) is Standing.HOME


def test_a_home_of_a_newer_version_is_left_to_that(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    Home(folder).create()
    (folder / "bootpress-home.json").write_text('{"version": 2}')
    assert "newer bootpress (version 2)" in refused(folder)


@pytest.mark.parametrize("name", ["run", "tmp"])
def test_a_link_in_place_of_what_is_emptied_is_refused_and_not_followed(tmp_path: Path, name: str) -> None:
    folder, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    Home(folder).create()
    write(elsewhere, "precious")
    (folder / name).rmdir()
    (folder / name).symlink_to(elsewhere)
    before = snapshot(elsewhere)
    assert "symbolic link" in refused(folder)
    Home(folder).clear()  # and should it have come after the look
    assert snapshot(elsewhere) == before


def test_links_within_what_is_emptied_are_deleted_and_not_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    Home(folder).create()
    write(elsewhere, "precious", "below/precious")
    (folder / "tmp" / "link").symlink_to(elsewhere)
    (folder / "run" / "file").symlink_to(elsewhere / "precious")
    (folder / "tmp" / "deep").mkdir()
    (folder / "tmp" / "deep" / "link").symlink_to(elsewhere / "below")
    before = snapshot(elsewhere)
    Home(folder).clear()
    assert snapshot(elsewhere) == before
    assert list((folder / "tmp").iterdir()) == []


def test_a_lock_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    Home(folder).create()
    write(tmp_path, "precious")
    (folder / "up.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(InvalidInput, match=r"up\.lock"), Home(folder).locked():
        pytest.fail("it was locked")
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_home_by_a_link_is_the_folder_that_it_leads_to(tmp_path: Path) -> None:
    write(tmp_path / "theirs", "precious", "tmp/precious")
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    before = snapshot(tmp_path / "theirs")
    with pytest.raises(InvalidInput, match="theirs is not empty"):
        up(Settings(home=tmp_path / "link"))
    assert snapshot(tmp_path / "theirs") == before
    with pytest.raises(InvalidInput, match="symbolic link"):
        judge(tmp_path / "link")


def test_links_that_lead_in_circles_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InvalidInput):
        up(Settings(home=tmp_path / "a"))
    with pytest.raises(InvalidInput):
        up(Settings(home=tmp_path / "a" / "home"))


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "file")
    with pytest.raises(InvalidInput, match="no folder"):
        up(Settings(home=tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "precious"


def test_the_root_and_a_users_own_folder_are_refused_also_while_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "user's own folder" in refused(tmp_path)
    with pytest.raises(InvalidInput, match="root of the file system"):
        judge(Path("/"))


def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 4711, 4711)
    else:
        folder = Path("/var")  # root's, everywhere
    assert "another user" in refused(folder, look=lambda path: path.stat().st_mode)


@pytest.mark.parametrize("command", [["doctor"], ["call", "recent_events"], ["operations"]])
@pytest.mark.parametrize("kind", ["absent", "empty", "theirs", "home", "predecessor"])
def test_commands_that_only_look_make_no_home_and_change_nothing(tmp_path: Path, kind: str, command: list[str]) -> None:
    top = tmp_path / "top"
    top.mkdir()
    folder = top / "home"
    if kind == "empty":
        folder.mkdir(mode=0o755)
    elif kind == "theirs":
        write(folder, "notes.txt", "bootpress.db", "tmp/keep")
        sqlite3.connect(folder / "other.db").execute("CREATE TABLE kept (x)").connection.close()
        (folder / "other.db").replace(folder / "bootpress.db")
    elif kind == "home":
        Home(folder).create()
    elif kind == "predecessor":
        predecessor(folder)
        (folder / "bootpress.db").unlink()
    before = snapshot(top)
    environment = dict(os.environ) | {
        "BOOTPRESS_HOME": str(folder),
        "HOME": str(tmp_path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    words = [sys.executable, "-m", "bootpress", *command]
    done = subprocess.run(words, env=environment, check=False, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    assert snapshot(top) == before


def test_the_doctor_says_that_a_folder_is_no_home(tmp_path: Path) -> None:
    write(tmp_path / "theirs", "notes.txt")
    first = next(iter(examine(Settings(home=tmp_path / "theirs"), {})))
    assert (first.name, first.health) == ("home", "fail")
    assert "is no home of bootpress: it holds notes.txt" in first.detail


def test_leftovers_that_are_nested_deep_do_not_stop_the_next_start(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.create()
    nested(home.folder / "tmp", 1500)
    home.clear()
    assert list((home.folder / "tmp").iterdir()) == []


def test_every_folder_that_a_home_has_is_known_by_name(tmp_path: Path) -> None:
    Home(tmp_path / "home").create()
    assert {path.name for path in (tmp_path / "home").iterdir()} <= claiming._OURS | {claiming.MARKER}


def test_the_doctor_makes_no_key_and_no_home_where_the_database_lies_elsewhere(tmp_path: Path, free_port: int) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    catalog = Database(url)
    schema.migrate(catalog)
    catalog.close()
    settings = Settings(home=tmp_path / "home", database_url=SecretStr(url))
    found = list(examine(settings, {"PREFECT_API_URL": f"http://127.0.0.1:{free_port}/api"}))
    assert ("forge", "the home has no key to read secrets with") in [(one.name, one.detail) for one in found]
    assert not (tmp_path / "home").exists()
