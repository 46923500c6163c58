from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bootpress.stack.errors import StackFailed, Stopped
from bootpress.stack.home import Home
from bootpress.stack.processes import Process, Spec, rotate_log, tail
from bootpress.stack.supervisor import Signals, Supervisor
from tests.support.processes import is_alive, wait_for

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def spec(name: str, code: str, *, once: bool = False) -> Spec:
    return Spec(name, (sys.executable, "-c", code), dict(os.environ), once=once)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


@pytest.fixture
def signals() -> Iterator[Signals]:
    with Signals() as signals:
        yield signals


@pytest.fixture
def supervisor(home: Home, signals: Signals) -> Iterator[Supervisor]:
    supervisor = Supervisor(home, signals)
    yield supervisor
    supervisor.stop([])


def said_up(home: Home, name: str) -> bool:
    return "up" in tail(home.log(name), lines=1)


def test_what_dies_is_started_again(supervisor: Supervisor) -> None:
    supervisor.start(spec("part", SLEEP))
    first = supervisor.pids["part"]
    os.kill(first, signal.SIGKILL)
    supervisor.wait_until(lambda: supervisor.pids.get("part", first) != first, what="a new one", seconds=10)
    assert supervisor.restarts == 1


def test_what_keeps_dying_is_given_up_with_its_last_words_and_log(home: Home, signals: Signals) -> None:
    supervisor = Supervisor(home, signals, first_pause_seconds=0.01)
    supervisor.start(spec("part", "raise SystemExit('no such colour')"))
    with pytest.raises(StackFailed, match="part died 6 times within a minute: no such colour") as failed:
        supervisor.wait_until(lambda: False, what="never", seconds=30)
    assert str(home.log("part")) in str(failed.value)
    assert supervisor.restarts == 5


def test_what_runs_once_is_done_or_fails_with_its_reason(supervisor: Supervisor) -> None:
    supervisor.start(spec("good", "pass", once=True))
    supervisor.start(spec("bad", "raise SystemExit('the disk is full')", once=True))
    supervisor.wait_until(lambda: supervisor.is_done("good"), what="good", seconds=10)
    with pytest.raises(StackFailed, match="bad failed: the disk is full"):
        supervisor.wait_until(lambda: supervisor.is_done("bad"), what="bad", seconds=10)


def test_what_does_not_come_in_time_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(StackFailed, match="the moon is still missing"):
        supervisor.wait_until(lambda: False, what="the moon", seconds=0.1)


def test_stopping_goes_stage_by_stage_and_ends_what_will_not(supervisor: Supervisor, home: Home) -> None:
    supervisor.start(spec("polite", SLEEP))
    supervisor.start(spec("stubborn", STUBBORN))
    pids = supervisor.pids
    supervisor.wait_until(lambda: said_up(home, "polite") and said_up(home, "stubborn"), what="both", seconds=10)
    begun = time.monotonic()
    supervisor.stop([(("polite",), 5.0), (("stubborn",), 0.3)])
    assert 0.3 <= time.monotonic() - begun < 3
    assert not any(map(is_alive, pids.values()))


def test_a_process_takes_what_it_started_with_it(supervisor: Supervisor, home: Home) -> None:
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    supervisor.start(spec("parent", code))
    supervisor.wait_until(lambda: tail(home.log("parent"), lines=1).isdigit(), what="the child", seconds=10)
    child = int(tail(home.log("parent"), lines=1))
    assert is_alive(child)
    supervisor.stop([(("parent",), 5.0)])
    wait_for(lambda: not is_alive(child), what="the child is gone", seconds=5)


def test_what_runs_once_leaves_nobody_behind_when_it_ends(supervisor: Supervisor, home: Home) -> None:
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)"
    )
    supervisor.start(spec("task", code, once=True))
    supervisor.wait_until(lambda: supervisor.is_done("task"), what="the task", seconds=10)
    child = int(tail(home.log("task"), lines=1))
    wait_for(lambda: not is_alive(child), what="the child is gone", seconds=5)


def test_what_has_ended_is_never_signalled_again(supervisor: Supervisor) -> None:
    """Its id may be a stranger's by the time the stack stops."""
    supervisor.start(spec("task", "pass", once=True))
    supervisor.start(spec("other", "pass", once=True))
    supervisor.wait_until(lambda: supervisor.is_done("task"), what="the task", seconds=10)
    supervisor.wait_until(lambda: supervisor.is_done("other"), what="the other", seconds=10)
    with signals_sent() as sent:
        supervisor.stop([(("task",), 1.0)])
    assert sent == []


@contextmanager
def signals_sent() -> Iterator[list[tuple[object, ...]]]:
    """Note what this process signals while the block lasts; an audit hook cannot be taken off, so it is switched."""
    sent: list[tuple[object, ...]] = []
    listening = [True]

    def note(event: str, words: tuple[object, ...]) -> None:
        if listening and event in {"os.kill", "os.killpg"}:
            sent.append(words)

    sys.addaudithook(note)
    yield sent
    listening.clear()


def test_what_cannot_be_started_again_does_not_end_the_others(home: Home, supervisor: Supervisor) -> None:
    supervisor.start(spec("part", SLEEP))
    supervisor.start(spec("other", SLEEP))
    home.log("part").unlink()
    home.log("part").mkdir()  # so its log cannot be opened, as on a full disk
    os.kill(supervisor.pids["part"], signal.SIGKILL)
    supervisor.wait_until(lambda: "part" not in supervisor.pids, what="its end is seen", seconds=10)
    for _ in range(15):
        supervisor.tick()
    assert is_alive(supervisor.pids["other"])
    assert supervisor.restarts == 0


def test_a_signal_stops_the_waiting(supervisor: Supervisor) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped):
        supervisor.wait_until(lambda: False, what="never", seconds=10)


@pytest.fixture
def heard() -> Iterator[Signals]:
    """Signals of a process in the foreground: one in the background ignores SIGINT, as this one may have to."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Signals() as signals:
            yield signals
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_patience(home: Home, heard: Signals, number: signal.Signals) -> None:
    supervisor = Supervisor(home, heard)
    supervisor.start(spec("stubborn", STUBBORN))
    supervisor.wait_until(lambda: said_up(home, "stubborn"), what="it", seconds=10)
    for count in (1, 2):  # a signal that is pending already is not counted twice
        os.kill(os.getpid(), number)
        while heard.count < count:
            time.sleep(0.01)
    begun = time.monotonic()
    supervisor.stop([(("stubborn",), 120.0)])
    assert time.monotonic() - begun < 60


def test_the_handlers_of_before_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_what_we_were_started_to_ignore_stays_ignored(number: signal.Signals) -> None:
    """As nohup does it, and a shell with its background jobs."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), number)
            signals.check()
    finally:
        signal.signal(number, before)


def test_sigterm_is_heard_even_where_it_was_ignored() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Signals() as signals:
            os.kill(os.getpid(), signal.SIGTERM)
            with pytest.raises(Stopped):
                signals.check()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_killed_supervisor_takes_its_processes_with_it(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from pathlib import Path\n"
        "from bootpress.stack.processes import Process, Spec\n"
        "words = (sys.executable, '-c', 'import time; time.sleep(60)')\n"
        "inner = Process(Spec('inner', words, dict(os.environ)), log=Path('inner.log'), cwd=Path('.'))\n"
        "print(inner.pid, flush=True)\n"
        "time.sleep(60)"
    )
    log = tmp_path / "outer.log"
    outer = Process(spec("outer", code), log=log, cwd=tmp_path)
    wait_for(lambda: tail(log, lines=1).isdigit(), what="the inner process", seconds=10)
    inner = int(tail(log, lines=1))
    wait_for(lambda: b"time.sleep" in Path(f"/proc/{inner}/cmdline").read_bytes(), what="it runs", seconds=10)
    assert os.getpgid(inner) != os.getpgid(outer.pid)  # so it is the kernel that ends it, not the group
    os.kill(outer.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(inner), what="it is gone", seconds=5)
    outer.kill()


def test_a_log_that_has_grown_too_large_is_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old\n" * 10)
        rotate_log(log, limit=100)
        assert log.read_bytes() == b"old\n" * 10
        rotate_log(log, limit=39)
        writer.write(b"new\n")
    assert log.read_bytes() == b"new\n"
    assert (tmp_path / "part.log.1").read_bytes() == b"old\n" * 10


def test_a_log_that_the_disk_has_no_room_to_keep_is_begun_anew_all_the_same(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"old\n" * 10)
    (tmp_path / "part.log.1").symlink_to("/dev/full")  # where every write says that there is no room
    rotate_log(log, limit=39)
    assert log.read_bytes() == b""
    assert list(tmp_path.iterdir()) == [log]


def test_a_log_that_cannot_be_begun_anew_is_left(tmp_path: Path) -> None:
    (tmp_path / "part.log").mkdir()
    rotate_log(tmp_path / "part.log", limit=-1)
    assert (tmp_path / "part.log").is_dir()
