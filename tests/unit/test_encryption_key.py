"""The key that a home makes for itself: whole, one, private, and named when it is damaged."""

from __future__ import annotations

import errno
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from bootpress.core.errors import InvalidInput
from bootpress.settings import Settings


def test_a_home_makes_its_key_once_and_for_its_owner(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = Settings(home=home).encryption_keys
    assert Settings(home=home).encryption_keys == made
    assert [path.name for path in home.iterdir()] == ["encryption.key"]
    assert stat.S_IMODE((home / "encryption.key").stat().st_mode) == 0o600


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(lambda _: Settings(home=tmp_path / "home").encryption_keys, range(8)))
    assert len(made) == 1


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process grow, as on a full disk, until the end of the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_key_that_could_not_be_written_leaves_no_empty_file(tmp_path: Path) -> None:
    with no_room(), pytest.raises(OSError, match=os.strerror(errno.EFBIG)):
        _ = Settings(home=tmp_path).encryption_keys
    assert list(tmp_path.iterdir()) == []
    assert Settings(home=tmp_path).encryption_keys


def test_a_process_killed_while_it_makes_the_key_leaves_no_half_of_it(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from bootpress.settings import Settings\n"
        "sys.addaudithook(lambda event, words: event == 'os.link' and os.kill(os.getpid(), signal.SIGKILL))\n"
        "Settings(home=Path(sys.argv[1])).encryption_keys"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode < 0
    assert not (tmp_path / "encryption.key").exists()
    assert Settings(home=tmp_path).encryption_keys


def keys_where_refused(home: Path, *refused: str) -> subprocess.CompletedProcess[str]:
    """Print a home's keys from a process to which the system refuses these calls once it has the first file."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from bootpress.settings import Settings\n"
        "key = str(Path(sys.argv[1]) / 'encryption.key')\n"
        "def judge(event, words):\n"
        "    opens = event == 'open' and words[0] == key and words[2] & os.O_EXCL\n"
        "    asked = 'link' if event == 'os.link' else 'open' if opens else ''\n"
        "    if asked in sys.argv[2:]:\n"
        "        raise PermissionError(1, 'Operation not permitted')\n"
        "sys.addaudithook(judge)\n"
        "print(*Settings(home=Path(sys.argv[1])).encryption_keys)"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(home), *refused], check=False, capture_output=True, text=True
    )


def test_a_home_whose_files_can_have_one_name_only_has_a_key_too(tmp_path: Path) -> None:
    made = keys_where_refused(tmp_path, "link")
    assert made.returncode == 0, made.stderr
    assert Settings(home=tmp_path).encryption_keys == (made.stdout.strip(),)
    assert keys_where_refused(tmp_path, "link").stdout == made.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["encryption.key"]
    assert stat.S_IMODE((tmp_path / "encryption.key").stat().st_mode) == 0o600


def test_a_home_that_takes_no_key_at_all_is_named(tmp_path: Path) -> None:
    refused = keys_where_refused(tmp_path, "link", "open")
    assert f"InvalidInput: no key can be made in the home {tmp_path}: Operation not permitted" in refused.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "\n", "no key"])
def test_a_damaged_key_file_is_named_and_left(tmp_path: Path, text: str) -> None:
    path = tmp_path / "encryption.key"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=str(path)) as refused:
        _ = Settings(home=tmp_path).encryption_keys
    assert "backup" in str(refused.value.hint)
    assert path.read_text() == text


@pytest.mark.parametrize("text", ["no key", f"{Fernet.generate_key().decode()},nor this"], ids=["none", "the second"])
def test_a_damaged_variable_is_named_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match="BOOTPRESS_ENCRYPTION_KEY") as refused:
        _ = Settings(home=tmp_path, encryption_key=SecretStr(text)).encryption_keys
    assert text not in str(refused.value)


def test_several_keys_are_read_in_their_order(tmp_path: Path) -> None:
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    settings = Settings(home=tmp_path, encryption_key=SecretStr(f" {keys[0]} , {keys[1]},"))
    assert settings.encryption_keys == tuple(keys)
