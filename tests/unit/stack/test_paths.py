"""Paths of homes and databases that hold what addresses are made of: each works, or is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from bootpress import schema
from bootpress.core.database import Database
from bootpress.core.errors import InvalidInput
from bootpress.settings import MAX_HOME, Settings
from bootpress.stack.environment import absolute, without_password
from tests.support.trees import snapshot

pytestmark = pytest.mark.slow

REFUSED = ["a?b", "a#b", "?", "#", "a?mode=memory", "a#b?c", "a\nb", "a\tb", "a\x7fb", "a\x1bb", "a\udcffb", "a\u2028b"]
WORKING = [
    "a b",
    "a%20b",
    "a%3Fb",
    "100%",
    "%(here)s",
    "a;b",
    "a:b",
    "a@b:c",
    "a=b&c=d",
    "a+b,c",
    "it's",
    'say "hi"',
    "$HOME",
    "`x`",
    "a\\b",
    "[bold]x[/]",
    "{x}",
    "~",
    "-home",
    "über-ñandú-家-🏠",
    "a\u00a0b",
    "x" * 200,
]


@pytest.mark.parametrize("name", REFUSED)
def test_a_home_whose_path_no_address_can_hold_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("BOOTPRESS_HOME", str(tmp_path / name / "home"))
    with pytest.raises(InvalidInput, match="the path of the home") as caught:
        Settings()
    assert repr(str(tmp_path / name / "home")) in caught.value.message
    with pytest.raises(InvalidInput):
        Settings(home=tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("by", ["option", "variable", "folder"])
@pytest.mark.parametrize("command", [["up"], ["doctor"], ["call", "recent_events"], ["demo"]])
def test_every_command_refuses_it_before_anything_is_written(tmp_path: Path, command: list[str], by: str) -> None:
    odd = tmp_path / "a?b"
    odd.mkdir()
    given = {"option": ["--home", str(odd / "home")], "folder": ["--home", "home"]}.get(by, [])
    variable = {"BOOTPRESS_HOME": str(odd / "home")} if by == "variable" else {}
    if command == ["demo"] and by == "variable":  # it does not read it, and makes its own in TMPDIR
        variable = {"TMPDIR": str(odd)}
    before = snapshot(tmp_path)
    words = [sys.executable, "-m", "bootpress", *command, *given]
    environment = dict(os.environ) | {"HOME": str(tmp_path / "user"), "PYTHONDONTWRITEBYTECODE": "1"} | variable
    done = subprocess.run(words, cwd=odd, env=environment, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "the path of the home" in done.stderr
    assert "a?b" in done.stderr
    assert "choose another" in done.stderr
    after = snapshot(tmp_path)
    if "TMPDIR" in variable:  # Python itself tries whether it can write there
        assert list(after) == list(before)
    else:
        assert after == before


@pytest.mark.parametrize("name", WORKING)
def test_a_home_of_any_other_path_has_its_database_where_it_says(tmp_path: Path, name: str) -> None:
    home = tmp_path / name
    home.mkdir(parents=True)
    settings = absolute(Settings(home=home))
    assert settings.home == home
    catalog = Database(settings.catalog_url)
    schema.migrate(catalog)
    catalog.close()
    assert (home / "bootpress.db").stat().st_size > 0
    assert {path.name for path in home.iterdir()} == {"bootpress.db"}
    assert without_password(settings.catalog_url) == f"sqlite:///{home / 'bootpress.db'}"


def test_a_path_is_as_long_as_sqlite_opens_and_not_longer(tmp_path: Path) -> None:
    room = MAX_HOME - len(str(tmp_path)) - 2
    home = tmp_path / ("x" * 200) / ("ü" * ((room - 200) // 2) + "x" * (room % 2))
    assert len(os.fsencode(home)) == MAX_HOME
    test_a_home_of_any_other_path_has_its_database_where_it_says(tmp_path, str(home.relative_to(tmp_path)))
    with pytest.raises(InvalidInput, match="longer than 400 bytes") as caught:
        Settings(home=Path(f"{home}x"))
    assert str(home) in caught.value.message


@pytest.mark.parametrize("path", ["/a?b/c.db", "/a#b/c.db", "/c.db?mode=ro", "/c.db?", "/c.db#", "relative?.db"])
def test_a_database_whose_path_would_be_cut_short_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match=r"BOOTPRESS_DATABASE_URL holds \? or #"):
        Settings(database_url=SecretStr(f"sqlite:///{path}"))


def test_options_of_a_postgresql_database_stay() -> None:
    url = "postgresql://u:p%23%3F@h/d?sslmode=require"
    assert Settings(database_url=SecretStr(url)).catalog_url == url.replace("postgresql:", "postgresql+psycopg:")


@pytest.mark.parametrize("name", ["a b", "100%25", "a;b", "ü"])
def test_a_database_in_an_odd_folder_is_that_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    settings = absolute(Settings(home=tmp_path, database_url=SecretStr(f"sqlite:///{tmp_path / name / 'c.db'}")))
    catalog = Database(settings.catalog_url)
    schema.migrate(catalog)
    catalog.close()
    assert [path.name for path in (tmp_path / name).iterdir()] == ["c.db"]
