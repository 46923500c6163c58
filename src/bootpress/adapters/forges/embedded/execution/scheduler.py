"""Whoever runs the workflows of an account's forge: one process at a time, which starts a process for each run.

No run outlives it. Which one that is, a lock decides; others wait for it, so that two APIs on one home get along. What
nobody has begun lies on disk and is begun by the next; what had begun has failed, and says so.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self

from bootpress.adapters.forges.embedded.execution import orphan_processes, reaper
from bootpress.adapters.forges.embedded.execution.clearing import Clearing
from bootpress.adapters.forges.embedded.execution.run_config import RunConfig, RunLimits, host_environment
from bootpress.adapters.forges.embedded.execution.runs import RunFolder, Runs
from bootpress.adapters.forges.embedded.execution.waiting import Line, WaitingRun, overdue
from bootpress.adapters.forges.embedded.repository import atomic_files
from bootpress.adapters.forges.embedded.repository.layout import ForgeLayout
from bootpress.adapters.forges.embedded.repository.pushes import Pushes
from bootpress.adapters.forges.embedded.repository.repository_settings import RepositorySettings
from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import BootpressError, ForgeUnavailable
from bootpress.core.ports import GitRepository, RunStatus

CONCURRENCY: Final = 2
POLL_SECONDS: Final = 0.2
STOP_SECONDS: Final = 5.0
SPARE_SECONDS: Final = 60.0
"""After its time a run gets so long to end itself; one whose process somebody has stopped does not."""
DOCKER: Final = "unix:///var/run/docker.sock"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Started:
    """The process of a run, which is its reaper, and when it is to be over by the monotonic clock."""

    process: subprocess.Popen[bytes]
    deadline: float


class RunScheduler:
    """Takes up pushes and waiting runs on a thread of its own, from `start` to `stop`.

    `docker` is the URL of the daemon for jobs in containers.
    """

    def __init__(
        self,
        places: ForgeLayout,
        box: SecretCipher,
        *,
        docker: str = DOCKER,
        at_once: int = CONCURRENCY,
        bounds: RunLimits | None = None,
    ) -> None:
        self._places = places
        self._box = box
        self._docker = docker
        self._at_once = at_once
        self._bounds = bounds or RunLimits()
        self._runs = Runs(places.runs)
        self._line = Line(self._runs)
        self._pushes = Pushes(places, self._runs)
        self._started: dict[str, Started] = {}
        self._stopping = threading.Event()
        self._trouble = ""
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Begin; nothing is touched before there is an embedded forge."""
        self._thread = threading.Thread(target=self._keep, name="embedded forge", daemon=True)
        self._thread.start()

    def request_stop(self) -> None:
        """Say that it is to stop, and do not wait for it."""
        self._stopping.set()

    def stop(self) -> None:
        """End the runs that are under way, and do not begin others."""
        self.request_stop()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS * 4)

    @staticmethod
    def is_running(places: ForgeLayout) -> bool:
        """Tell whether some process keeps the runs of a forge."""
        if not places.keeper.exists():
            return False
        descriptor = atomic_files.try_lock(places.keeper)
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None

    def _keep(self) -> None:
        lock = None
        while lock is None and not self._stopping.wait(POLL_SECONDS):
            lock = self._try_lock()
        if lock is None:
            return
        clearing = Clearing(self._runs, self._stopping)
        clearing.start()
        try:
            self._end_orphans()
            while not self._stopping.wait(POLL_SECONDS):
                self._look()
        finally:
            self._end_all()
            clearing.join(STOP_SECONDS)
            os.close(lock)

    def _try_lock(self) -> int | None:
        """Lock the forge if it is there and nobody keeps it; what goes wrong is said once, and tried again."""
        try:
            return (
                atomic_files.try_lock(atomic_files.touch(self._places.keeper)) if self._places.state.is_dir() else None
            )
        except OSError as error:  # no room, or too many open files: this may pass, and then somebody has to be here
            self._say(error)
            return None

    def _end_orphans(self) -> None:
        """End the runs of an owner that was killed: whoever holds their locks yet may have been stopped by a job."""
        try:
            for run_id, _, state in self._runs.all():
                if state.status is RunStatus.IN_PROGRESS:
                    orphan_processes.end_recorded(self._runs.folder(run_id).processes)
        except Exception as error:  # noqa: BLE001 - without this thread every run would wait for ever
            self._say(error)

    def _look(self) -> None:
        """Do what is to be done now; what goes wrong is said once, and tried again at the next look."""
        try:
            self._pushes.process()
            for run_id, started in list(self._started.items()):
                if started.process.poll() is not None:
                    self._let_go(run_id)
                elif time.monotonic() > started.deadline + reaper.SECONDS + STOP_SECONDS:
                    _kill(started.process)
                elif time.monotonic() > started.deadline:
                    _terminate(started.process)
            self._line.look()
            trouble = self._end_overdue()
            self._say(self._begin_next() or trouble)
        except Exception as error:  # noqa: BLE001 - without this thread every run would wait for ever
            self._say(error)

    def _say(self, error: Exception | None) -> None:
        trouble = f"{type(error).__name__}: {error}" if error is not None else ""
        if trouble not in {"", self._trouble}:
            logger.warning("the embedded forge: %s", trouble)
        self._trouble = trouble

    def _end_overdue(self) -> Exception | None:
        """End the runs that have waited for too long, with the reason; return what went wrong with one."""
        trouble: Exception | None = None
        for run in self._line.queue.first():
            try:
                reason = self._overdue(run)
                if reason is not None and self._end(run, reason):
                    self._line.queue.forget(run.id.__eq__)
            except Exception as error:  # noqa: BLE001 - returned; whatever is wrong with one, others are to begin
                trouble = error
        return trouble

    def _overdue(self, run: WaitingRun) -> str | None:
        is_served = self._has_worker(run.spec.repository)
        limit = timedelta(hours=self._bounds.wait_hours)
        without_worker = timedelta(hours=self._bounds.wait_hours_without_worker)
        return overdue(run, now=datetime.now(UTC), is_served=is_served, limit=limit, without_worker=without_worker)

    def _end(self, run: WaitingRun, reason: str) -> bool:
        """End a run that nobody has begun; tell whether it waits no longer."""
        folder = self._runs.folder(run.id)
        with folder.locked() as is_ours:
            if is_ours and (state := folder.state()).status is RunStatus.QUEUED:
                folder.note(0, f"nothing was run: {reason}")
                folder.save(state.ended("failure", reason=reason))
            return is_ours

    def _begin_next(self) -> Exception | None:
        """Begin runs while there is room, in fair turns; return what went wrong with one, which waits on."""
        trouble: Exception | None = None
        failed: set[str] = set()
        # A run of ours whose state cannot be read is not among those of the line, and takes its place all the same.
        while len(self._line.running.keys() | self._started.keys()) < self._at_once:
            run = self._line.queue.take(
                lambda repository: repository not in failed and self._has_worker(repository),
                Counter(self._line.running.values()),
            )
            if run is None:
                break
            try:
                waits_on = not self._begin(run)
            except Exception as error:  # noqa: BLE001 - returned; whatever is wrong with one, others are to begin
                trouble, waits_on = error, True
            if waits_on:
                failed.add(run.spec.repository)
                self._line.queue.put_back(run)
        return trouble

    def _begin(self, run: WaitingRun) -> bool:
        """Begin a run, or let go of it if it is over; tell whether it waits no longer."""
        folder = self._runs.folder(run.id)
        lock = folder.try_lock()
        if lock is None:
            return False  # somebody cancels it
        try:
            state = folder.state()
            if state.status is not RunStatus.QUEUED:
                return True
            try:
                orders = self._orders(run.spec.repository)
            except ForgeUnavailable:
                raise  # this may pass: it waits
            except BootpressError as error:  # a secret that no key of ours opens
                folder.note(0, f"nothing was run: {error}")
                folder.save(state.ended("failure", reason=str(error)))
                return True
            folder.save(replace(state, status=RunStatus.IN_PROGRESS))
            deadline = time.monotonic() + orders.run_seconds + SPARE_SECONDS
            self._line.running[run.id] = run.spec.repository
            self._started[run.id] = Started(_start(folder, lock, orders), deadline)
            return True
        finally:
            os.close(lock)

    def _has_worker(self, repository: str) -> bool:
        return self._settings(repository).has_runner()

    def _settings(self, repository: str) -> RepositorySettings:
        return RepositorySettings(self._places.settings(GitRepository.parse(repository)), self._box)

    def _orders(self, repository: str) -> RunConfig:
        settings = self._settings(repository)
        return RunConfig(
            forge_url=self._places.root.as_uri(),
            variables=settings.variables.all(),
            secrets=settings.secrets.all(),
            cache=str(atomic_files.make_folder(settings.folder / "cache")),
            host=host_environment(),
            docker=self._docker,
            run_seconds=self._bounds.run_seconds,
            log_bytes=self._bounds.log_bytes,
        )

    def _let_go(self, run_id: str) -> None:
        process = self._started.pop(run_id).process
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode < 0:  # a reaper that was killed has ended nobody
            orphan_processes.end_recorded(self._runs.folder(run_id).processes)
        try:
            self._runs.find(run_id)  # settles it where it died
        except ForgeUnavailable as error:  # whoever asks for it is told
            self._say(error)

    def _end_all(self) -> None:
        """Let go of every pipe, by which the runs end, and see to it that they do."""
        for started in self._started.values():
            if started.process.stdin is not None:
                started.process.stdin.close()
        _wait_for_ends([started.process for started in self._started.values()])
        for run_id in list(self._started):
            self._let_go(run_id)


def _wait_for_ends(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for the ends of the reapers of runs, all at once; each ends its run when it is told to."""
    for insist in (_terminate, _kill):
        deadline = time.monotonic() + STOP_SECONDS
        for process in processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                insist(process)
    for process in processes:
        process.wait()


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Tell a run's reaper to end, also one that a job has stopped."""
    process.terminate()
    process.send_signal(signal.SIGCONT)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a run's reaper that does not end, after its descendants: they would be nobody's without it."""
    orphan_processes.end_descendants(process.pid)
    process.kill()


def _start(folder: RunFolder, lock: int, orders: RunConfig) -> subprocess.Popen[bytes]:
    """Start the process of a run below its reaper; both inherit the lock, and the run hears of our end by the pipe."""
    with (folder.path / "runner.log").open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", reaper.__file__, str(folder.processes)),
                *(
                    sys.executable,
                    "-P",
                    "-m",
                    "bootpress.adapters.forges.embedded.execution.runner",
                    str(folder.path),
                    str(lock),
                ),
            ],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder.path,
            env={"PATH": orders.host["PATH"], "LANG": "C.UTF-8"},
            pass_fds=(lock,),
            start_new_session=True,
        )
    try:
        if process.stdin is not None:
            process.stdin.write(orders.encode())
            process.stdin.flush()
    except BrokenPipeError:
        logger.warning("the process of run %s ended before it had begun", folder.id)
    return process
