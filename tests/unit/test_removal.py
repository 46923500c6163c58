"""Trees of any shape are deleted, in bounds, and nothing beside them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpress.removal import remove_tree
from tests.support import services


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in memory where there is that: disks take milliseconds for each folder that is deleted."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
    yield made
    assert remove_tree(made) is None


def nest(top: Path, depth: int, *, name: str = "d", mode: int = 0o700) -> Path:
    """Make folders in folders, deeper than a path can say, each with a file; return the first."""
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
        inner = os.open(name, os.O_RDONLY, dir_fd=here)
        os.fchmod(here, mode)
        os.close(here)
        here = inner
    os.close(here)
    return top


@pytest.mark.parametrize(
    ("depth", "name", "mode"),
    [
        (1_500, "d", 0o700),
        (20_000, "d", 0o700),
        (1_500, "n" * 255, 0),
        (300, "a\nb\udcff", 0o500),
        (300, "-rf *", 0o200),
    ],
)
def test_a_nest_is_deleted_however_deep_and_closed_it_is(folder: Path, depth: int, name: str, mode: int) -> None:
    assert remove_tree(nest(folder / "top", depth, name=name, mode=mode)) is None
    assert list(folder.iterdir()) == []


def test_a_closed_tree_of_another_users_is_deleted_as_that_user(folder: Path) -> None:
    """Root is refused nothing; a user is by his own folders."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.chown(folder, 65534, 65534)
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            nest(folder / "top", 50, mode=0)
            code = 0 if remove_tree(folder / "top") is None else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert list(folder.iterdir()) == []


def test_links_are_deleted_and_not_followed(folder: Path) -> None:
    beside = folder / "beside"
    beside.mkdir()
    (beside / "file").write_text("stays")
    top = nest(folder / "top", 3)
    for place in (top, top / "d", top / "d" / "d"):
        (place / "link").symlink_to(beside)
        (place / "up").symlink_to("..")
        (place / "broken").symlink_to("nowhere")
    assert remove_tree(top) is None
    assert remove_tree(folder / "absent") is None
    (folder / "link").symlink_to(beside)
    assert remove_tree(folder / "link") is None
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {"beside": 0o755 & ~_umask()}
    assert (beside / "file").read_text() == "stays"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_there_is_no_time_for_is_said_and_deleted_the_next_time(folder: Path) -> None:
    top = nest(folder / "top", 3_000)
    said = remove_tree(top, seconds=0.005)
    assert said is not None
    assert "no time" in said
    tries = 1
    while remove_tree(top, seconds=0.05) is not None:
        tries += 1
    assert tries > 1
    assert not top.exists()


def test_a_folder_that_somebody_fills_meanwhile_is_given_up_in_time(folder: Path) -> None:
    top, stop = folder / "top", threading.Event()
    (top / "in").mkdir(parents=True)

    def fill() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            (top / f"{number}").mkdir(parents=True, exist_ok=True)

    filling = threading.Thread(target=fill)
    filling.start()
    try:
        for _ in range(3):
            remove_tree(top, seconds=0.2)  # it ends, whatever it finds
    finally:
        stop.set()
        filling.join()
    assert remove_tree(top) is None


def test_many_entries_and_odd_ones_are_deleted(folder: Path) -> None:
    top = folder / "top"
    (top / "deep" / "er").mkdir(parents=True)
    for number in range(5_000):
        (top / f"{number}").touch()
        (top / "deep" / f"{number}").mkdir()
    os.mkfifo(top / "pipe")
    os.mkfifo(top / "deep" / "pipe")
    os.close(os.open(os.fsencode(top) + b"/\xff\n", os.O_CREAT | os.O_WRONLY))
    os.link(top / "0", top / "deep" / "er" / "hard")
    assert remove_tree(top) is None
    assert list(folder.iterdir()) == []


def test_a_mount_is_not_crossed_and_everything_beside_it_is_deleted(folder: Path) -> None:
    top, beside = nest(folder / "top", 3), folder / "beside"
    for place in (beside, top / "mount", top / "d" / "mount"):
        place.mkdir()
    (beside / "file").write_text("stays")
    script = f"""
import subprocess
from pathlib import Path
from bootpress.removal import remove_tree
for place in {[str(top / "mount"), str(top / "d" / "mount")]!r}:
    subprocess.run(["mount", "--bind", {str(beside)!r}, place], check=True)
print(remove_tree(Path({str(top)!r})))
"""
    words = ["unshare", "--map-root-user", "--mount", sys.executable, "-c", script]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr:
        services.miss("user namespaces", "the kernel, or a container around us, must let us mount in one of our own")
    assert "mount" in done.stdout, done.stderr
    assert [path.name for path in beside.iterdir()] == ["file"]
    assert len(list(top.rglob("*"))) == 3  # the two places, and the folder that one of them is in
    assert remove_tree(top) is None


def test_where_the_folder_above_refuses_it_is_said_and_nothing_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert remove_tree(tmp_path / "file" / "below") == "'below': Not a directory"
    shutil.rmtree(tmp_path)
    assert remove_tree(tmp_path / "gone") is None
