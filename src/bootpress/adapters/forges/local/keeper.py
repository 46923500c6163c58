"""Whoever runs the workflows of an account's forge: one process at a time, which starts a process for each run.

No run outlives it. Which one that is, a lock decides; others wait for it, so that two APIs on one home get along. What
nobody has begun lies on disk and is begun by the next; what had begun has failed, and says so.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from bootpress.adapters.forges.local import files, pushes
from bootpress.adapters.forges.local.orders import Bounds, Orders, host_environment
from bootpress.adapters.forges.local.places import Places
from bootpress.adapters.forges.local.runs import RunFolder, Runs
from bootpress.adapters.forges.local.settings_of import SettingsOf
from bootpress.core.errors import BootpressError
from bootpress.core.ports import GitRepository, RunStatus
from bootpress.core.secrets_at_rest import SecretBox

AT_ONCE: Final = 2
POLL_SECONDS: Final = 0.2
STOP_SECONDS: Final = 5.0
DOCKER: Final = "unix:///var/run/docker.sock"
logger = logging.getLogger(__name__)


class Keeper:
    """Takes up pushes and waiting runs on a thread of its own, from `start` to `stop`.

    `docker` is the URL of the daemon for jobs in containers.
    """

    def __init__(
        self,
        places: Places,
        box: SecretBox,
        *,
        docker: str = DOCKER,
        at_once: int = AT_ONCE,
        bounds: Bounds | None = None,
    ) -> None:
        self._places = places
        self._box = box
        self._docker = docker
        self._at_once = at_once
        self._bounds = bounds or Bounds()
        self._runs = Runs(places.runs)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
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

    def begin_to_stop(self) -> None:
        """Say that it is to stop, and do not wait for it."""
        self._stopping.set()

    def stop(self) -> None:
        """End the runs that are under way, and do not begin others."""
        self.begin_to_stop()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS * 2)

    @staticmethod
    def is_there(places: Places) -> bool:
        """Tell whether some process keeps the runs of a forge."""
        if not places.keeper.exists():
            return False
        descriptor = files.try_lock(places.keeper)
        if descriptor is not None:
            os.close(descriptor)
        return descriptor is None

    def _keep(self) -> None:
        lock = None
        while lock is None and not self._stopping.wait(POLL_SECONDS):
            lock = self._try_lock()
        if lock is None:
            return
        try:
            while not self._stopping.wait(POLL_SECONDS):
                self._look()
        finally:
            self._end_all()
            os.close(lock)

    def _try_lock(self) -> int | None:
        """Lock the forge if it is there and nobody keeps it; what goes wrong is said once, and tried again."""
        try:
            return files.try_lock(files.touch(self._places.keeper)) if self._places.state.is_dir() else None
        except OSError as error:  # no room, or too many open files: this may pass, and then somebody has to be here
            self._say(error)
            return None

    def _look(self) -> None:
        """Do what is to be done now; what goes wrong is said once, and tried again at the next look."""
        try:
            pushes.take_up(self._places, self._runs)
            for run_id, process in list(self._processes.items()):
                if process.poll() is not None:
                    self._let_go(run_id)
            for run_id in self._runs.waiting():
                if len(self._runs.running()) >= self._at_once:
                    break
                self._begin(run_id)
            self._trouble = ""
        except Exception as error:  # noqa: BLE001 - without this thread every run would wait for ever
            self._say(error)

    def _say(self, error: Exception) -> None:
        if self._trouble != (trouble := f"{type(error).__name__}: {error}"):
            logger.warning("the embedded forge: %s", trouble)
        self._trouble = trouble

    def _begin(self, run_id: str) -> None:
        folder = self._runs.folder(run_id)
        found = self._runs.find(run_id)
        if found is None or not self._settings(found[0].repository).has_runner():
            return
        lock = folder.try_lock()
        if lock is None:
            return  # somebody cancels it
        try:
            state = folder.state()
            if state.status is not RunStatus.QUEUED:
                return
            try:
                orders = self._orders(found[0].repository)
            except BootpressError as error:  # a secret that no key of ours opens
                folder.note(0, f"nothing was run: {error}")
                folder.save(state.ended("failure"))
                return
            folder.save(replace(state, status=RunStatus.IN_PROGRESS))
            self._processes[run_id] = _start(folder, lock, orders)
        finally:
            os.close(lock)

    def _settings(self, repository: str) -> SettingsOf:
        return SettingsOf(self._places.settings(GitRepository.parse(repository)), self._box)

    def _orders(self, repository: str) -> Orders:
        settings = self._settings(repository)
        return Orders(
            forge_url=self._places.root.as_uri(),
            variables=settings.variables.all(),
            secrets=settings.secrets.all(),
            cache=str(files.make_folder(settings.folder / "cache")),
            host=host_environment(),
            docker=self._docker,
            run_seconds=self._bounds.run_seconds,
            log_bytes=self._bounds.log_bytes,
        )

    def _let_go(self, run_id: str) -> None:
        process = self._processes.pop(run_id)
        if process.stdin is not None:
            process.stdin.close()
        self._runs.find(run_id)  # settles it where it died

    def _end_all(self) -> None:
        """Let go of every pipe, by which the runs end, and see to it that they do."""
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.close()
        for run_id, process in list(self._processes.items()):
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._let_go(run_id)


def _start(folder: RunFolder, lock: int, orders: Orders) -> subprocess.Popen[bytes]:
    """Start the process of a run, which inherits the lock; it hears of our end by the pipe."""
    with (folder.path / "runner.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bootpress.adapters.forges.local.runner", str(folder.path), str(lock)],
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
