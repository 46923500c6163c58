"""One-time codes: good once, for a while, by whoever made them."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bootpress.sign_in import SECONDS, SignInCodes, codes_of


class Later:
    """A clock ahead of the file system's."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        return self.seconds


def test_a_code_is_good_once(tmp_path: Path) -> None:
    codes = SignInCodes(tmp_path / "codes")
    code, other = codes.make(), codes.make()
    assert codes.take(code)
    assert not codes.take(code)
    assert codes.take(other)


def test_of_many_that_take_a_code_at_once_one_gets_it(tmp_path: Path) -> None:
    codes = SignInCodes(tmp_path / "codes")
    code = codes.make()
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(codes.take, [code] * 64)) == 1


@pytest.mark.parametrize("late", [SECONDS + 1, -SECONDS])
def test_a_code_expires_and_goes(tmp_path: Path, late: float) -> None:
    codes = SignInCodes(tmp_path / "codes")
    code = codes.make()
    [path] = codes.folder.iterdir()
    then = SignInCodes(codes.folder, now=Later(path.stat().st_mtime + late))
    assert not then.take(code)
    assert list(codes.folder.iterdir()) == []


def test_what_has_expired_is_removed_by_the_next_one(tmp_path: Path) -> None:
    codes = SignInCodes(tmp_path / "codes")
    codes.make()
    [path] = codes.folder.iterdir()
    SignInCodes(codes.folder, now=Later(path.stat().st_mtime + SECONDS + 1)).make()
    assert not path.exists()


def test_the_home_keeps_no_code(tmp_path: Path) -> None:
    codes = codes_of(tmp_path, "prefect")
    code = codes.make()
    [path] = codes.folder.iterdir()
    assert code not in str(path)
    assert path.read_bytes() == b""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(codes.folder.stat().st_mode) == 0o700
    assert not codes_of(tmp_path, "console").take(code)


@pytest.mark.parametrize("code", ["", "x", "../" * 20, "a" * 43 + "\n", "é" * 43, "\0" * 43])
def test_what_is_no_code_is_not_looked_for(tmp_path: Path, code: str) -> None:
    assert not SignInCodes(tmp_path / "nowhere").take(code)
