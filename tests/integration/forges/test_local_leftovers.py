"""What a job leaves in its folders is deleted, whatever it is, and stops no later run, also after a restart."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from bootpress.adapters.forges.embedded.execution.clearing import FIRST_PAUSE_SECONDS, Clearing
from bootpress.adapters.forges.embedded.execution.runs import ABANDONED, Runs
from bootpress.adapters.forges.embedded.repository.atomic_files import MAX_BYTES
from bootpress.core.errors import ForgeUnavailable
from bootpress.core.ports import RunStatus
from tests.support.embedded_forge import DISPATCHED, REPOSITORY, EmbeddedForgeHarness, eventually, kept

NEST = """
import os, sys
for number in range(int(sys.argv[1])):
    os.mkdir(sys.argv[2])
    os.chdir(sys.argv[2])
    if "closed" in sys.argv:
        os.chmod(".", 0o700 if number < 2 else 0o300)
"""
SHAPES = {
    "a nest": "{nest} 1500 d",
    "a closed nest with long names": "{nest} 700 $(printf 'n%.0s' $(seq 200)) closed; chmod 0 .",
    "odd names": "mkdir -p $'a\\nb/\\xff' ; touch $'a\\nb/\\xff/-rf'; ln -s / root; mkfifo pipe",
    "closed folders": "mkdir -p a/b/c; touch a/b/c/file; chmod 0 a/b/c a/b a .",
    "much": "for each in $(seq 300); do mkdir $each; done; touch {{1..3000}}.file",
    "no folder of its own": 'rm -rf "$RUNNER_TEMP" "$HOME"; chmod 0 ../..',
}


@pytest.fixture
def embedded(tmp_path: Path) -> EmbeddedForgeHarness:
    return EmbeddedForgeHarness(tmp_path / "forge")


def add(embedded: EmbeddedForgeHarness, folder: Path, shape: str, *, then: str) -> None:
    """Add a workflow whose script makes a shape if its input `slug` says so, and then does something."""
    (folder / "nest.py").write_text(NEST)
    made = SHAPES[shape].format(nest=f"{sys.executable} -I -S {folder / 'nest.py'}")
    lines = ['if [ "${{ inputs.slug }}" = none ]; then exit 0; fi', "mkdir shape; cd shape", made, then]
    script = "".join(f"          {line}\n" for line in lines)
    embedded.add(f"{DISPATCHED}jobs:\n  build:\n    runs-on: x\n    steps:\n      - run: |\n{script}")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_a_job_leaves_is_deleted_with_it_and_stops_no_other(
    embedded: EmbeddedForgeHarness, shape: str, tmp_path: Path
) -> None:
    add(embedded, tmp_path, shape, then="true")
    with kept(embedded):
        run_id = embedded.dispatch({"slug": "shape"})
        assert embedded.ended(run_id).conclusion == "success", embedded.log(run_id)
        assert embedded.ended(embedded.dispatch()).conclusion == "success"
        eventually(lambda: not list(embedded.places.runs.glob("*/work")), what="nothing is left", seconds=120)


@pytest.mark.parametrize("shape", ["a nest", "a closed nest with long names", "closed folders"])
def test_what_a_job_left_whose_run_was_killed_stops_no_other_after_a_restart_either(
    embedded: EmbeddedForgeHarness, shape: str, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    add(embedded, tmp_path, shape, then=f"echo $PPID > {ready}; sleep 300")
    with kept(embedded):
        run_id = embedded.dispatch({"slug": "shape"})
        runner = eventually(lambda: ready.exists() and ready.read_text().strip(), what="it has the shape")
        os.kill(int(runner), signal.SIGKILL)
        assert embedded.ended(run_id).conclusion == "failure"
        assert embedded.ended(embedded.dispatch()).conclusion == "success"
    again = EmbeddedForgeHarness(embedded.places.root, box=embedded.box)
    with kept(again):
        assert again.ended(again.dispatch()).conclusion == "success"
        assert [run.status for run in again.forge.list_runs(REPOSITORY)] == [RunStatus.COMPLETED] * 3
        eventually(lambda: not list(again.places.runs.glob("*/work")), what="nothing is left", seconds=120)


@pytest.mark.parametrize("name", ["run.json", "logs/0.log", "processes"])
@pytest.mark.parametrize("put", ["mkfifo", "mkdir", "ln -s /dev/zero"])
def test_what_a_job_puts_in_place_of_a_file_of_its_run_stops_no_other(
    embedded: EmbeddedForgeHarness, name: str, put: str
) -> None:
    swap = f'cd "$RUNNER_TEMP/../../.."; rm -f {name}; {put} {name}; kill -9 $PPID; sleep 300'
    lines = ['if [ "${{ inputs.slug }}" = none ]; then exit 0; fi', swap]
    script = "".join(f"          {line}\n" for line in lines)
    embedded.add(f"{DISPATCHED}jobs:\n  build:\n    runs-on: x\n    steps:\n      - run: |\n{script}")
    with kept(embedded):
        damaged = embedded.dispatch({"slug": "swap"})
        eventually(lambda: not is_as_written(embedded, damaged, name), what="it is swapped")
        if name != "run.json":
            assert embedded.ended(damaged).conclusion == "failure"
        assert embedded.ended(embedded.dispatch()).conclusion == "success"
    again = EmbeddedForgeHarness(embedded.places.root, box=embedded.box)
    with kept(again):
        assert again.ended(again.dispatch()).conclusion == "success"
    if name == "run.json":
        with pytest.raises(ForgeUnavailable, match=r"run\.json"):
            again.run(damaged)
        assert damaged not in {run.id for run in again.forge.list_runs(REPOSITORY)}
    if name == "logs/0.log":
        with pytest.raises(ForgeUnavailable, match=r"0\.log"):
            again.log(damaged)


def is_as_written(embedded: EmbeddedForgeHarness, run_id: str, name: str) -> bool:
    path = embedded.places.runs / run_id / name
    return path.is_file() and not path.is_symlink()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("run.json", "[" * 100_000),
        ("run.json", " " * (MAX_BYTES + 1)),
        ("run.json", "{}"),
        (
            "run.json",
            '{"repository": "../x", "workflow": "w", "event": "e", "ref": "r", "sha": "s", "created_at": "c"}',
        ),
        ("state.json", "[" * 100_000),
        ("state.json", "[]"),
        ("state.json", '{"status": []}'),
    ],
)
def test_a_run_that_cannot_be_read_stops_no_other(embedded: EmbeddedForgeHarness, name: str, text: str) -> None:
    embedded.add(f"{DISPATCHED}jobs:\n  build:\n    runs-on: x\n    steps:\n      - run: 'true'\n")
    damaged = embedded.dispatch()
    (embedded.places.runs / damaged / name).write_text(text)
    with kept(embedded):
        run_id = embedded.dispatch()
        assert embedded.ended(run_id).conclusion == "success"
        assert [run.id for run in embedded.forge.list_runs(REPOSITORY)] == [run_id]
    with pytest.raises(ForgeUnavailable):
        embedded.run(damaged)


@pytest.mark.parametrize("name", ["ENV", "PATH"])
@pytest.mark.parametrize("put", ["mkfifo", "mkdir", "ln -s /dev/zero"])
def test_what_a_script_puts_in_place_of_its_command_file_fails_its_step(
    embedded: EmbeddedForgeHarness, name: str, put: str
) -> None:
    step = f'rm -f "$GITHUB_{name}"; {put} "$GITHUB_{name}"'
    embedded.add(f"{DISPATCHED}jobs:\n  build:\n    runs-on: x\n    steps:\n      - run: {step}\n")
    with kept(embedded):
        run_id = embedded.dispatch()
        assert embedded.ended(run_id).conclusion == "failure"
        assert f"_{name.lower()}" in embedded.log(run_id)
        assert "cannot be opened" in embedded.log(run_id) or "is no regular file" in embedded.log(run_id)


def test_a_fifo_among_the_pushes_stops_no_run(embedded: EmbeddedForgeHarness) -> None:
    embedded.add(f"{DISPATCHED}jobs:\n  build:\n    runs-on: x\n    steps:\n      - run: 'true'\n")
    embedded.places.pushes.mkdir(exist_ok=True)
    os.mkfifo(embedded.places.pushes / "push-x")
    with kept(embedded):
        assert embedded.ended(embedded.dispatch()).conclusion == "success"


def test_what_cannot_be_deleted_is_said_once_and_tried_again_less_and_less_often(
    embedded: EmbeddedForgeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    now, tried = [0.0], list[Path]()
    left = embedded.places.runs / f"{ABANDONED}1"
    left.mkdir(parents=True)

    def refuse(path: Path) -> str:
        tried.append(path)
        return "'file': Operation not permitted"

    clearing = Clearing(Runs(embedded.places.runs), threading.Event(), remove=refuse, monotonic=lambda: now[0])
    with caplog.at_level(logging.WARNING):
        assert clearing.look()
        for pause in (FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS):
            before = len(tried)
            now[0] += pause - 1
            assert clearing.look()
            assert len(tried) == before
            now[0] += 1
            assert clearing.look()
            assert len(tried) == before + 1
    assert set(tried) == {left}
    (said,) = caplog.messages
    assert f"{left} cannot be deleted: 'file': Operation not permitted" in said
