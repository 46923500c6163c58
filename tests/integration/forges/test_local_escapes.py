"""No process that a job starts outlives the job, its run or bootpress, whatever it does to get away."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootpress.adapters.forges.embedded.execution import orphan_processes, reaper
from bootpress.adapters.forges.embedded.execution.runs import RunFolder
from tests.support import scheduler_process
from tests.support.embedded_forge import DISPATCHED, EmbeddedForgeHarness, eventually, kept
from tests.support.escapes import CHAIN, DAEMON, Escape, pids_of
from tests.support.processes import Program

RUNNER = "bootpress.adapters.forges.embedded.execution.runner"


@pytest.fixture
def embedded(tmp_path: Path) -> EmbeddedForgeHarness:
    return EmbeddedForgeHarness(tmp_path / "forge")


@pytest.fixture(params=[DAEMON, CHAIN], ids=["daemon", "chain"])
def escape(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Escape]:
    with Escape(request.param, tmp_path) as escape:
        yield escape


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Escape]:
    """What gets away where a parent is stopped: a chain would leave it more zombies than the machine has ids."""
    with Escape(DAEMON, tmp_path) as escape:
        yield escape


def begin(embedded: EmbeddedForgeHarness, escape: Escape, *, then: str, first: str = "true") -> str:
    """Dispatch a job that does something, starts what gets away, and then does something; return the run's id."""
    steps = f"      - run: |\n          {first}\n          {escape.command} &\n          {then}\n"
    embedded.add(f"{DISPATCHED}jobs:\n  build:\n    runs-on: x\n    steps:\n{steps}")
    return embedded.dispatch()


@contextmanager
def keeper_of(embedded: EmbeddedForgeHarness, folder: Path) -> Iterator[Program]:
    """Run the runs in a process of its own."""
    words = scheduler_process.command(embedded.places.root, embedded.key)
    with Program(words, log=folder / "keeper.log") as keeper:
        yield keeper


def processes_of(embedded: EmbeddedForgeHarness, run_id: str) -> tuple[int, int]:
    """Return the ids of a run's process and of its reaper."""
    found = pids_of(RUNNER, str(embedded.places.runs / run_id))
    (top,) = [pid for pid in found if str(reaper.__file__).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]
    (runner,) = [pid for pid in found if pid != top]
    return runner, top


def test_what_clears_its_environment_and_leaves_its_session_ends_with_its_job(
    embedded: EmbeddedForgeHarness, escape: Escape, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    with kept(embedded):
        run_id = begin(embedded, escape, then=f"until test -e {go}; do sleep 0.1; done")
        eventually(escape.has_begun, what="it is away")
        go.touch()
        assert embedded.ended(run_id).conclusion == "success"
        assert not escape.is_alive()
        assert "could not be ended" not in embedded.log(run_id)


@pytest.mark.parametrize("killed", ["run", "reaper"])
def test_what_gets_away_ends_with_its_run_when_a_process_of_that_is_killed(
    embedded: EmbeddedForgeHarness, escape: Escape, killed: str
) -> None:
    with kept(embedded):
        run_id = begin(embedded, escape, then="sleep 300")
        eventually(escape.has_begun, what="it is away")
        runner, top = processes_of(embedded, run_id)
        os.kill(runner if killed == "run" else top, signal.SIGKILL)
        assert embedded.ended(run_id).conclusion == "failure"
        assert "has died" in embedded.log(run_id)
        eventually(lambda: not escape.is_alive(), what="nothing is left")


@pytest.mark.parametrize("killed", ["keeper", "keeper and run", "keeper and reaper"])
def test_what_gets_away_ends_with_bootpress(
    embedded: EmbeddedForgeHarness, escape: Escape, killed: str, tmp_path: Path
) -> None:
    with keeper_of(embedded, tmp_path) as keeper:
        run_id = begin(embedded, escape, then="sleep 300")
        eventually(escape.has_begun, what="it is away")
        runner, top = processes_of(embedded, run_id)
        os.kill(keeper.pid, signal.SIGKILL)
        for other in {"keeper and run": [runner], "keeper and reaper": [top]}.get(killed, []):
            os.kill(other, signal.SIGKILL)
        eventually(lambda: not escape.is_alive(), what="nothing is left")
        assert embedded.ended(run_id).conclusion == "failure"


def test_what_outlived_everything_is_found_and_ended_at_the_next_start(
    embedded: EmbeddedForgeHarness, tmp_path: Path
) -> None:
    with Escape(DAEMON, tmp_path) as escape:
        with keeper_of(embedded, tmp_path) as keeper:
            run_id = begin(embedded, escape, then="sleep 300")
            record = RunFolder(embedded.places.runs / run_id).processes
            eventually(lambda: escape.has_begun() and len(escape.pids()) == 1, what="it is away")
            (away,) = escape.pids()
            runner, top = processes_of(embedded, run_id)
            eventually(lambda: f"{away} " in record.read_text(), what="it is recorded")
            for pid in (top, runner, keeper.pid):  # stopped, so that none sees another's end
                os.kill(pid, signal.SIGSTOP)
            for pid in (top, runner, keeper.pid):
                os.kill(pid, signal.SIGKILL)
        assert escape.pids() == [away]
        with kept(embedded):
            assert embedded.ended(run_id).conclusion == "failure"
            eventually(lambda: not escape.is_alive(), what="nothing is left")


def test_a_record_of_another_boot_or_of_a_later_process_ends_nobody(tmp_path: Path) -> None:
    record = tmp_path / "processes"
    with Program(["sleep", "300"], log=tmp_path / "log") as bystander:
        start = reaper.started_at(bystander.pid)
        for text in (
            f"another-boot\n{bystander.pid} {start}\n",
            f"{reaper.boot_id()}\n{bystander.pid} {int(start) - 1}\n",
            f"{reaper.boot_id()}\n0 0\n-1 {start}\n{os.getpid()} {reaper.started_at(os.getpid())}\nx\n\n",
            "",
        ):
            record.write_text(text)
            assert orphan_processes.end_recorded(record)
            assert bystander.exit_code is None
        record.write_bytes(b"\xff\xfe")
        assert orphan_processes.end_recorded(record)
        record.write_text(f"{reaper.boot_id()}\n{bystander.pid} {start}\n")
        assert orphan_processes.end_recorded(record)
        assert bystander.wait(30) == -signal.SIGKILL


def test_children_are_found_on_a_kernel_that_does_not_list_them(tmp_path: Path) -> None:
    with Program(["sleep", "300"], log=tmp_path / "log") as child:
        assert child.pid in reaper.children_by_parent(os.getpid())
        assert child.pid in reaper.children("self")


REAPING = """
import importlib.util, os, signal, sys
spec = importlib.util.spec_from_file_location("reaper", sys.argv[1])
reaper = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reaper)
made = reaper.MAX_REAPED + 10
for _ in range(made):
    pid = os.fork()
    if pid == 0: os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
assert reaper.reap()
assert len(reaper.children("self")) == 10, reaper.children("self")
assert reaper.end_children()
assert not reaper.children("self")
"""


def test_reaping_ends_while_there_always_is_another_one(tmp_path: Path) -> None:
    with Program([sys.executable, "-I", "-S", "-c", REAPING, str(reaper.__file__)], log=tmp_path / "log") as program:
        assert program.wait(60) == 0, (tmp_path / "log").read_text()


def test_what_is_set_aside_runs_only_where_nobody_else_wants_to(tmp_path: Path) -> None:
    policy = 38  # field 41 of proc_pid_stat(5)
    with Program(["sleep", "300"], log=tmp_path / "log") as child:
        assert reaper.stat_of(child.pid)[policy] == str(os.SCHED_OTHER)
        reaper.set_aside(child.pid)
        assert reaper.stat_of(child.pid)[policy] == str(os.SCHED_IDLE)


def test_a_run_whose_process_was_stopped_is_ended_when_bootpress_stops(
    embedded: EmbeddedForgeHarness, escape: Escape
) -> None:
    with kept(embedded):
        run_id = begin(embedded, escape, then="kill -STOP $PPID; sleep 300")
        eventually(escape.has_begun, what="it is away")
        runner, _ = processes_of(embedded, run_id)
        eventually(
            lambda: Path(f"/proc/{runner}/stat").read_text().rpartition(")")[2].split()[0] == "T", what="it stands"
        )
    eventually(lambda: not escape.is_alive(), what="nothing is left")
    assert embedded.run(run_id).conclusion == "failure"


@pytest.mark.parametrize("stops", ["once", "again and again"])
def test_what_gets_away_from_a_stopped_reaper_ends_with_bootpress(
    embedded: EmbeddedForgeHarness, daemon: Escape, stops: str
) -> None:
    stop = "kill -STOP $reaper" if stops == "once" else "while :; do kill -STOP $reaper; done &"
    with kept(embedded):
        run_id = begin(
            embedded, daemon, first=f"reaper=$(awk '/^PPid/{{print $2}}' /proc/$PPID/status); {stop}", then="sleep 300"
        )
        eventually(daemon.has_begun, what="it is away")
        runner, top = processes_of(embedded, run_id)
        eventually(lambda: reaper.stat_of(top)[0] == "T", what="the reaper stands")
        os.kill(runner, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{runner}/cmdline").read_bytes(), what="the run's process has ended")
        assert daemon.is_alive()
    assert not daemon.is_alive()
    assert embedded.run(run_id).conclusion == "failure"


def test_a_reaper_is_not_held_up_by_a_fifo_in_place_of_what_it_writes(
    embedded: EmbeddedForgeHarness, daemon: Escape
) -> None:
    with kept(embedded):
        run_id = begin(embedded, daemon, first='mkfifo "$RUNNER_TEMP"/../../../processes.new', then="sleep 300")
        eventually(daemon.has_begun, what="it is away")
        runner, _ = processes_of(embedded, run_id)
        record = RunFolder(embedded.places.runs / run_id).processes
        eventually(lambda: record.exists() and f"{runner} " in record.read_text(), what="the run is recorded")
        os.kill(runner, signal.SIGKILL)
        assert embedded.ended(run_id).conclusion == "failure"
        assert not daemon.is_alive()


def test_what_gets_away_ends_with_a_reaper_that_was_killed_beside_a_stopped_run(
    embedded: EmbeddedForgeHarness, daemon: Escape
) -> None:
    with kept(embedded):
        run_id = begin(embedded, daemon, then="sleep 300")
        eventually(daemon.has_begun, what="it is away")
        runner, top = processes_of(embedded, run_id)
        record = RunFolder(embedded.places.runs / run_id).processes
        eventually(lambda: record.exists() and f"{runner} " in record.read_text(), what="the run is recorded")
        os.kill(runner, signal.SIGSTOP)
        os.kill(top, signal.SIGKILL)
        assert embedded.ended(run_id).conclusion == "failure"
        assert not daemon.is_alive()


@pytest.mark.parametrize("stopped", ["run", "run and reaper"])
def test_what_gets_away_from_a_stopped_run_ends_after_a_keeper_that_was_killed(
    embedded: EmbeddedForgeHarness, daemon: Escape, stopped: str, tmp_path: Path
) -> None:
    with keeper_of(embedded, tmp_path) as keeper:
        run_id = begin(embedded, daemon, then="sleep 300")
        eventually(daemon.has_begun, what="it is away")
        runner, top = processes_of(embedded, run_id)
        record = RunFolder(embedded.places.runs / run_id).processes
        eventually(lambda: record.exists() and f"{runner} " in record.read_text(), what="the run is recorded")
        for pid in (runner,) if stopped == "run" else (runner, top):
            os.kill(pid, signal.SIGSTOP)
        os.kill(keeper.pid, signal.SIGKILL)
    if stopped == "run":
        eventually(lambda: not daemon.is_alive(), what="nothing is left")
    with kept(embedded):
        assert embedded.ended(run_id).conclusion == "failure"
        eventually(lambda: not daemon.is_alive(), what="nothing is left")
