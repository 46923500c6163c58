from __future__ import annotations

import tempfile
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bootpress.stack.errors import StackFailed
from bootpress.stack.temporary_stack import scratch_home


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    """Return a console; what is made in the system's folder for scratch lies in `tmp_path` meanwhile."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Console(file=StringIO(), width=500)


def said(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def fill(home: Path) -> None:
    for name in ("logs", "registry"):
        (home / name).mkdir()
        (home / name / "file").write_text("x")
    (home / "admin.token").write_text("x")


def fail(home: Path | None, console: Console) -> None:
    with scratch_home(home, console, keep=False) as scratch:
        fill(scratch)
        raise StackFailed("no such luck")


def test_a_scratch_home_goes_with_the_block(console: Console, tmp_path: Path) -> None:
    with scratch_home(None, console, keep=False) as home:
        fill(home)
    assert list(tmp_path.iterdir()) == []
    assert said(console) == ""


def test_a_scratch_home_that_is_kept_stays_and_is_named(console: Console) -> None:
    with scratch_home(None, console, keep=True) as home:
        fill(home)
    assert (home / "admin.token").exists()
    assert str(home) in said(console)


def test_a_block_that_failed_leaves_its_logs_and_says_where(console: Console, tmp_path: Path) -> None:
    with pytest.raises(StackFailed):
        fail(None, console)
    [home] = tmp_path.iterdir()
    assert sorted(path.name for path in home.rglob("*")) == ["file", "logs"]
    assert str(home) in said(console)


def test_a_block_that_was_interrupted_leaves_nothing(console: Console, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch_home(None, console, keep=False):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_was_given_is_left_as_it_is(console: Console, tmp_path: Path) -> None:
    with pytest.raises(StackFailed):
        fail(tmp_path, console)
    assert (tmp_path / "admin.token").exists()
