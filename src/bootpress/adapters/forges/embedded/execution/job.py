"""One job: its checkout, and its scripts one after the other."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from bootpress.adapters.forges.embedded.execution import orphan_processes, reaper
from bootpress.adapters.forges.embedded.execution.executors import Executor, HostExecutor, RunningProcess
from bootpress.adapters.forges.embedded.execution.job_environment import JobEnvironment
from bootpress.adapters.forges.embedded.execution.joblog import JobLog
from bootpress.adapters.forges.embedded.repository import atomic_files
from bootpress.adapters.forges.embedded.repository.git import git
from bootpress.adapters.forges.embedded.workflow import expressions
from bootpress.adapters.forges.embedded.workflow.workflow import JobPlan, Step
from bootpress.core.errors import BootpressError

TICK_SECONDS: Final = 0.05


class Stopped(Exception):
    """The whole run is to end now."""

    def __init__(self, reason: str, conclusion: str, *, at_once: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.conclusion = conclusion
        self.at_once = at_once
        """Whether there is no time to let scripts end by themselves."""


class JobRun:
    """Runs a job; `look` raises Stopped once the run is to end."""

    def __init__(self, job: JobPlan, around: JobEnvironment, log: JobLog, look: Callable[[], None]) -> None:
        self._job = job
        self._around = around
        self._log = log
        self._look = look
        self._added: dict[str, str] = {}
        self._path: list[str] = []
        self._deadline = time.monotonic() + job.seconds if job.seconds is not None else None

    def go(self, env: Mapping[str, str]) -> str:
        """Run every step whose condition holds; return the job's conclusion. No process of it is left behind."""
        executor: Executor | None = None
        try:
            self._check_out()
            executor = self._open()
            return self._steps(executor, env)
        except BootpressError as error:
            self._log.say(f"this job failed: {error}")
            return "failure"
        finally:
            if not self._end_processes():
                self._log.say("some processes of this job could not be ended")
            if executor is not None:
                executor.close()

    def _end_processes(self) -> bool:
        """End what was started for the job: all that descends from us, and what a container has of it."""
        are_ended = reaper.end_children()
        return orphan_processes.kill_all(self._around.mark) and are_ended

    def _open(self) -> Executor:
        if self._job.image is None:
            return HostExecutor(self._around.orders.host, self._log.output)
        from bootpress.adapters.forges.embedded.execution.container_executor import ContainerExecutor  # noqa: PLC0415 - few jobs need Docker

        image = expressions.render(self._job.image, self._around.contexts({}))
        self._log.say(f"in a container of {image}")
        return ContainerExecutor.open(self._around.orders.docker, image, self._around, self._look)

    def _check_out(self) -> None:
        spec, workspace = self._around.spec, self._around.workspace
        self._log.say(f"checking out {spec.repository} at {spec.sha}")
        atomic_files.make_folder(workspace)
        git("init", "--quiet", "--template=", cwd=workspace)
        git("remote", "add", "origin", f"{self._around.orders.forge_url}/{spec.repository}.git", cwd=workspace)
        git("fetch", "--quiet", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*", spec.sha, cwd=workspace)
        branch = spec.ref.removeprefix("refs/heads/")
        how = ("-B", branch) if branch != spec.ref else ("--detach",)
        git("checkout", "--quiet", *how, spec.sha, cwd=workspace)

    def _steps(self, executor: Executor, env: Mapping[str, str]) -> str:
        failed = False
        for number, step in enumerate(self._job.steps, start=1):
            holds = {"success": not failed, "failure": failed, "always": True}[step.condition]
            if not holds:
                self._log.say(f"==> {number}. {step.name}: skipped")
                continue
            if not self._step(executor, number, step, {**env, **self._job.env}):
                failed = failed or not step.may_fail
        return "failure" if failed else "success"

    def _step(self, executor: Executor, number: int, step: Step, env: Mapping[str, str]) -> bool:
        known = self._fill(env, {}) | self._added
        known |= self._fill(step.env, known)
        name = expressions.render(step.name, self._around.contexts(known))
        self._log.say(f"==> {number}. {name}")
        script = self._around.folder / "temp" / f"step-{number}.sh"
        folder = self._around.workspace / expressions.render(step.folder, self._around.contexts(known))
        try:
            atomic_files.write(script, expressions.render(step.script, self._around.contexts(known)).encode())
            code = self._run(executor, step, script, folder, known)
            self._added |= self._around.assigned()
            self._path = self._around.added_paths() + self._path
        except (OSError, ValueError) as error:  # no such folder, an unwritable one, or more than an environment holds
            self._log.say(f"this step cannot be started: {getattr(error, 'strerror', None) or 'a NUL in a value'}")
            return False
        except BootpressError as error:
            self._log.say(str(error))
            return False
        finally:
            with suppress(OSError):  # a folder that the step has closed; it is deleted with the job's others
                script.unlink(missing_ok=True)
        if code != 0:
            self._log.say(f"this step failed: {_ending(code)}")
        return code == 0

    def _fill(self, env: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
        contexts = self._around.contexts(known)
        return {name: expressions.render(value, contexts) for name, value in env.items()}

    def _run(self, executor: Executor, step: Step, script: Path, folder: Path, env: Mapping[str, str]) -> int:
        deadlines = [self._deadline, time.monotonic() + step.seconds if step.seconds is not None else None]
        deadline = min((each for each in deadlines if each is not None), default=None)
        environment = self._around.environment(executor.host, env, self._path)
        running = executor.start([*step.shell, str(script)], folder=folder, env=environment)
        try:
            return self._await(running, deadline)
        except Stopped as stopped:
            running.end(at_once=stopped.at_once)
            raise

    def _await(self, running: RunningProcess, deadline: float | None) -> int:
        while (code := running.wait(TICK_SECONDS)) is None:
            self._look()
            if deadline is not None and time.monotonic() > deadline:
                self._log.say("this took longer than its timeout-minutes")
                return running.end(at_once=False) or 1
        return code


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"ended by signal {signal.Signals(-code).name}"
