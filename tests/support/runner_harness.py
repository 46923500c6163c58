"""Runners that are provisioned and terminated without Prefect: what the flows do, done at once by the launcher."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from bootpress.core.ports import GitRepository, JobKind, Runner, RunnerSpec
from bootpress.core.sagas import store
from bootpress.core.sagas.store import SagaLease
from bootpress.core.workers import provision_runner, terminate_worker
from bootpress.core.workers.models import CiWorker
from tests.support.bootstrap_harness import BootstrapHarness, Killed
from tests.support.core_harness import CoreHarness
from tests.support.fakes import Launch


class CrashPlan:
    """Whoever makes the nth call from `set` on dies, before or after it; that happens once."""

    def __init__(self) -> None:
        self.set(-1, after=False)
        self.died = False

    def set(self, at: int, *, after: bool) -> None:
        if at >= 0:
            self.died = False
        self._at, self._after, self.count = at, after, 0

    def of(self, call: Any) -> Any:
        def made(*given: Any, **named: Any) -> Any:
            dies = self.count == self._at and not self.died
            self.count += 1
            self.died |= dies
            if dies and not self._after:
                raise Killed
            answer = call(*given, **named)
            if dies:
                raise Killed
            return answer

        return made


class CrashingProxy:
    """Something whose caller dies at one of its calls."""

    def __init__(self, real: Any, deaths: CrashPlan) -> None:
        self._real, self._deaths = real, deaths

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return self._deaths.of(found) if callable(found) else found


class RunnerHarness(BootstrapHarness):
    """A pipeline that is bootstrapped, and a Docker host whose containers register at the forge and come online."""

    def __init__(self, world: CoreHarness) -> None:
        super().__init__(world)
        self.host = world.runner_hosts.host
        self.host.on_start = self.register
        self.registrations = itertools.count(1)
        self.goes_on = False
        """Whether another run goes on for one that was killed, while its caller still waits."""
        world.context = replace(world.context, limits=replace(world.context.limits, runner_seconds=0.2))
        world.launcher.runs[JobKind.PROVISION_WORKER] = self._provision
        world.launcher.runs[JobKind.TERMINATE_WORKER] = self._terminate

    def mortal_calls(self) -> CrashPlan:
        """Let callers of the forge and of the Docker host die."""
        deaths = CrashPlan()
        forge: Any = CrashingProxy(self.forge, deaths)
        host: Any = CrashingProxy(self.host, deaths)
        self.world.forges.forge, self.world.runner_hosts.host = forge, host
        return deaths

    def register(self, spec: RunnerSpec) -> None:
        """Do what a container does: register under its name, and be online."""
        runner_id = str(next(self.registrations))
        repository = GitRepository.parse(spec.registration_token.removeprefix("registers-at-"))
        self.at_forge(repository).runners[runner_id] = Runner(
            runner_id, spec.name, is_online=True, is_busy=False, labels=spec.labels, last_seen_at=None
        )

    def provision(self, name: str = "edge-builder", **fields: Any) -> dict[str, Any]:
        return self.world.call("system_provision_ci_worker", name=name, **fields)

    def terminate(self, worker_id: str) -> dict[str, Any]:
        return self.world.call("system_terminate_ci_worker", id=worker_id)

    def listed(self) -> dict[str, str]:
        """Return the status of each worker, by name."""
        return {one["name"]: one["status"] for one in self.world.call("system_list_ci_workers")["workers"]}

    def worker(self, label: str) -> CiWorker:
        """Return the newest worker of a label."""
        return next(one for one in reversed(self.workers()) if one.label == label)

    def clear(self, label: str) -> None:
        """Terminate a worker."""
        self.terminate(str(self.worker(label).id))

    def runners(self) -> list[str]:
        """Return the names of the runners that are registered."""
        return [runner.name for runner in self.at_forge().runners.values()]

    def _provision(self, launch: Launch) -> None:
        self._carry_out(launch, provision_runner.STEPS, provision_runner.roll_back)

    def _terminate(self, launch: Launch) -> None:
        self._carry_out(launch, terminate_worker.STEPS, lambda _, hold, error: self._fail(hold, error))

    def _fail(self, hold: SagaLease, error: BaseException) -> None:
        store.fail(self.world.context, hold.saga_id, error, hold=hold)

    def _carry_out(self, launch: Launch, steps: Any, abandon: Any) -> None:
        hold = SagaLease(launch.subject, launch.run_id)
        context = self.world.context
        store.begin(context, hold)
        try:
            for step in steps:
                step(context, hold)
        except Exception as error:  # noqa: BLE001 - as the flow does it
            abandon(context, hold, error)
        except Killed:
            if not self.goes_on:
                raise
            self.world.clock.advance(seconds=31)
