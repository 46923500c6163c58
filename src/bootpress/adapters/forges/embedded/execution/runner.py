"""The process of one run: `python -m bootpress.adapters.forges.embedded.execution.runner FOLDER LOCK`.

Its first line of input is its orders; then nothing comes, until the pipe is closed: by its owner, or by the kernel when
the owner dies. LOCK is the descriptor of the run's lock, which is held for as long as this process lives.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from bootpress.adapters.forges.embedded.execution import reaper
from bootpress.adapters.forges.embedded.execution.job import JobRun, Stopped
from bootpress.adapters.forges.embedded.execution.job_environment import JobEnvironment
from bootpress.adapters.forges.embedded.execution.joblog import JobLog, SecretMasker
from bootpress.adapters.forges.embedded.execution.run_config import RunConfig, wait_for_end
from bootpress.adapters.forges.embedded.execution.runs import DIED, RunFolder, RunState, now
from bootpress.adapters.forges.embedded.workflow import workflow, workflow_yaml
from bootpress.core.errors import BootpressError
from bootpress.core.ports import RunStatus
from bootpress.removal import remove_tree

OWNER: Final = 0
"""The pipe from our owner, as a descriptor: our standard input."""
CLEAR_SECONDS: Final = 10.0
"""For deleting what a job wrote; what is left then is deleted later, beside other runs."""

LAST_CLEAR_SECONDS: Final = 1.0
"""For deleting the folder of all jobs, each of which was cleared already."""


class StopCheck:
    """Looks whether the run is to end, and why."""

    def __init__(self, folder: RunFolder, owner: int, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._alone = threading.Event()
        threading.Thread(target=self._wait_for_end, args=(owner,), name="owner", daemon=True).start()

    def look(self) -> None:
        """Raise Stopped once the run is to end."""
        if self._alone.is_set():
            raise Stopped(DIED, "failure", at_once=True)
        if self._folder.is_to_be_cancelled():
            raise Stopped("cancelled", "cancelled")
        if time.monotonic() > self._deadline:
            raise Stopped(f"the run took longer than {self._seconds:.0f} s", "failure")

    def _wait_for_end(self, owner: int) -> None:
        wait_for_end(owner)
        self._alone.set()


class Runner:
    """Runs the jobs of a run, one after the other, and writes down how far it has come."""

    def __init__(self, folder: RunFolder, orders: RunConfig, watch: StopCheck) -> None:
        self._folder = folder
        self._orders = orders
        self._watch = watch
        self._spec = folder.spec()
        self._plan = workflow.plan(workflow_yaml.load(folder.workflow))
        self._state = folder.state()

    def go(self) -> None:
        """Run it to its end."""
        results: dict[str, str] = {}
        if (missing := self._missing()) is not None:
            self._folder.note(0, f"nothing was run: {missing}")
            self._save(self._state.ended("failure"))
            return
        try:
            for number, job in enumerate(self._plan.jobs):
                self._look_before(number)
                results[job.key] = self._job(number, job, {key: results[key] for key in job.needs})
        except Stopped as stopped:
            self._save(self._state.ended(stopped.conclusion))
            return
        found = set(results.values())
        conclusion = next((each for each in ("failure", "success") if each in found), "skipped")
        remove_tree(self._folder.work, seconds=LAST_CLEAR_SECONDS)  # who sees the end finds nothing left
        self._save(RunState(RunStatus.COMPLETED, conclusion, self._state.jobs))

    def _look_before(self, number: int) -> None:
        """Stop here if the run is to end, and say why in the log of the job that does not begin."""
        try:
            self._watch.look()
        except Stopped as stopped:
            self._folder.note(number, stopped.reason)
            raise

    def _missing(self) -> BootpressError | None:
        """Return what this machine lacks for one of the jobs."""
        if any(job.image is not None for job in self._plan.jobs):
            from bootpress.adapters.forges.embedded.execution import container_executor  # noqa: PLC0415 - few runs need Docker

            try:
                container_executor.check(self._orders.docker)
            except BootpressError as error:
                return error
        return None

    def _job(self, number: int, job: workflow.JobPlan, needs: dict[str, str]) -> str:
        well = all(result == "success" for result in needs.values())
        if not {"success": well, "failure": "failure" in needs.values(), "always": True}[job.condition]:
            self._note(number, RunStatus.COMPLETED, "skipped")
            return "skipped"
        self._note(number, RunStatus.IN_PROGRESS, None)
        around = JobEnvironment.of(self._folder, self._spec, self._orders, job, self._plan.name)
        masks = SecretMasker(self._orders.secrets.values())
        log = JobLog(self._folder.log(number), masks, limit=self._orders.log_bytes, pipe=around.pipe)
        try:
            conclusion = JobRun(job, around, log, self._watch.look).go(self._plan.env)
        except Stopped as stopped:
            log.say(stopped.reason)
            if not stopped.at_once:
                self._clear(number, around.folder)
            raise
        finally:
            log.close()
        self._clear(number, around.folder)
        self._note(number, RunStatus.COMPLETED, conclusion)
        return conclusion

    def _clear(self, number: int, folder: Path) -> None:
        """Delete what a job wrote, and say in its log what cannot be deleted now."""
        if (left := remove_tree(folder, seconds=CLEAR_SECONDS)) is not None:
            self._folder.note(number, f"not all that this job wrote could be deleted, which is tried again: {left}")

    def _note(self, number: int, status: RunStatus, conclusion: str | None) -> None:
        at = now()
        job = replace(self._state.jobs[number], status=status, conclusion=conclusion)
        job = replace(job, started_at=at) if status is RunStatus.IN_PROGRESS else replace(job, completed_at=at)
        jobs = [*self._state.jobs[:number], job, *self._state.jobs[number + 1 :]]
        self._save(RunState(RunStatus.IN_PROGRESS, None, jobs))

    def _save(self, state: RunState) -> None:
        self._state = state
        self._folder.save(state)


def main() -> None:
    """Take the orders and run."""
    folder, lock = RunFolder(Path(sys.argv[1])), int(sys.argv[2])
    os.set_inheritable(lock, False)  # noqa: FBT003 - its only parameter; no script may keep a dead run alive
    os.umask(0o077)
    reaper.become_subreaper()
    orders = RunConfig.receive(OWNER)
    try:
        Runner(folder, orders, StopCheck(folder, OWNER, orders.run_seconds)).go()
    finally:
        remove_tree(folder.work, seconds=CLEAR_SECONDS)


if __name__ == "__main__":
    main()
