"""The flow of a build, on a real Prefect server and a resident worker: it sleeps, is woken, ends as its build does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.deployments import deploy
from bootpress.adapters.prefect_api.launcher import PrefectLauncher
from bootpress.core.builds import reconciler
from bootpress.core.builds.callbacks import BuildAwareLauncher
from bootpress.core.builds.models import Build
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.models import Attempt
from bootpress.core.ports import ResumeResult
from tests.support.build_harness import BuildHarness
from tests.support.core_harness import CoreHarness
from tests.support.fakes import RealClock
from tests.support.layout_server import served
from tests.support.prefect_server import PrefectServer
from tests.support.prefect_worker import resident_worker, state, wait_for_state
from tests.support.processes import Program, wait_for
from tests.support.retention_harness import AnsweringRegistry

POOL = "builds-of-a-test"
DEPLOYMENTS = f"""
name: bootpress
prefect-version: 3.8.8
pull: []
definitions:
  work_pools:
    {POOL}: {{type: resident, description: "Builds of a test", queues: {{all: {{description: "All"}}}}}}
deployments:
  - {{name: dispatched, entrypoint: flows.build.build, work_pool: {{name: {POOL}, work_queue_name: all}}}}
  - {{name: webhook, entrypoint: flows.ingest.ingest, work_pool: {{name: {POOL}, work_queue_name: all}}}}
"""


class BuildFlowHarness:
    """A foundry whose flows run on a worker process; the world has a real clock and a real launcher."""

    def __init__(self, server: PrefectServer, folder: Path, stack: ExitStack) -> None:
        url = f"sqlite:///{folder / 'catalog.db'}"
        self.registry = AnsweringRegistry()
        self.world = CoreHarness(url)
        self.world.layout = self.world.images.registry = self.registry
        self.api = PrefectApi(server.api_url)
        self.launcher = PrefectLauncher(self.api)
        self.world.context = replace(
            self.world.context, clock=RealClock(), launcher=BuildAwareLauncher(self.launcher, self.world.catalog)
        )
        host = stack.enter_context(served(self.world.layout))
        self.repository = f"{host}/os/images"
        self.world.platform(oci_repository=self.repository)
        self.foundry = BuildHarness(self.world)
        self.server = server
        self.folder = folder
        self.environment = {
            "BOOTPRESS_HOME": str(folder),
            "BOOTPRESS_DATABASE_URL": url,
            "BOOTPRESS_ENCRYPTION_KEY": self.world.keys[0],
        }
        file = folder / "prefect.yaml"
        file.write_text(DEPLOYMENTS)
        deploy(file, self.api)

    def worker(self) -> Any:
        """Start a worker; each of them has the same name, as those of one home have."""
        log = self.folder / f"worker-{uuid4().hex[:6]}.log"
        return resident_worker(self.server, log, pool=POOL, name=POOL, environment=self.environment)

    def dispatch(self) -> Build:
        return self.foundry.build(self.foundry.dispatch()["build_id"])

    def call_back(self, build: Build, *, digest: str | None = None) -> UUID:
        """Announce a new image of a build, and have what waits started."""
        said = {"dispatch_id": build.dispatch_id, "run_id": build.run_id, "git_sha": build.head_sha}
        reference = f"{self.repository}@{digest or self.world.images.image()}"
        delivery_id = self.world.announce(ref=reference, **said)
        attempts.launch_due(self.world.context)
        return delivery_id

    def wait(self, build: Build, name: str) -> dict[str, Any]:
        """Wait until the flow run of a build is in a state."""
        return wait_for_state(self.api, flow_run(build), name)

    def has_slept(self, build: Build, times: int) -> bool:
        """Tell whether the flow run of a build sleeps, and went to sleep so often."""
        states = self.api.get(f"/flow_run_states/?flow_run_id={flow_run(build)}")
        names = [one["name"] for one in sorted(states, key=lambda one: str(one["timestamp"]))]
        return names.count("Suspended") == times and names[-1] == "Suspended"

    def is_woken(self, build: Build) -> bool:
        """Wake a build; a run that has just said that it sleeps may not take it yet."""
        return self.launcher.resume(flow_run(build)) is ResumeResult.RESUMED

    def report(self, build: Build) -> str:
        """Return the Markdown that a build's flow run left."""
        body = {"artifacts": {"flow_run_id": {"any_": [str(flow_run(build))]}, "key": {"like_": "build-%"}}}
        [found] = self.api.post("/artifacts/filter", body)
        return str(found["data"])


def flow_run(build: Build) -> UUID:
    assert build.flow_run_id is not None
    return build.flow_run_id


@pytest.fixture(scope="module")
def hall(prefect: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuildFlowHarness]:
    with ExitStack() as stack:
        hall = BuildFlowHarness(prefect, tmp_path_factory.mktemp("hall"), stack)
        yield hall
        hall.api.close()
        hall.world.catalog.close()


def test_a_worker_that_is_killed_while_builds_sleep_and_ingest_loses_neither(hall: BuildFlowHarness) -> None:
    """The first of these tests: no other worker of this name may live beside these two."""
    held, killed = threading.Event(), threading.Event()
    asleep, busy = hall.dispatch(), hall.dispatch()
    with hall.worker() as first:
        hall.wait(asleep, "Suspended")
        hall.wait(busy, "Suspended")
        digest = hall.world.images.image()
        hall.registry.before[digest] = partial(hold, held, killed)
        delivery_id = hall.call_back(busy, digest=digest)
        assert held.wait(30)
        first.kill()
        killed.set()
    called_id = hall.call_back(asleep)
    assert hall.foundry.build(asleep.id).status == "callback_received"
    assert hall.world.delivery(delivery_id).status == "processing"
    run_out(hall.world)

    with hall.worker():
        attempts.launch_due(hall.world.context)
        hall.wait(asleep, "Completed")
        wait_for(lambda: hall.world.delivery(delivery_id).status == "done", what="a run of its own has published it")
    assert {hall.foundry.build(build.id).status for build in (asleep, busy)} == {"published"}
    assert hall.foundry.build(asleep.id).delivery_id == called_id
    assert state(hall.api, flow_run(busy))["name"] == "Crashed"


def hold(held: threading.Event, until: threading.Event) -> None:
    held.set()
    until.wait(30)


def run_out(world: CoreHarness) -> None:
    """Let the leases of whoever works run out."""
    with world.catalog.transaction() as session:
        session.execute(update(Attempt).where(Attempt.status == "running").values(lease_until=Attempt.created_at))


@pytest.fixture(scope="module")
def worker(hall: BuildFlowHarness) -> Iterator[Program]:
    with hall.worker() as running:
        yield running


@pytest.mark.usefixtures("worker")
def test_a_build_sleeps_until_its_callback_wakes_it_and_ends_with_a_report(hall: BuildFlowHarness) -> None:
    build = hall.dispatch()
    hall.wait(build, "Suspended")
    assert hall.api.get(f"/flow_runs/{flow_run(build)}")["name"] == f"edge @ {build.run_id}"

    delivery_id = hall.call_back(build)

    assert hall.wait(build, "Completed")["message"] == "published"
    ended = hall.foundry.build(build.id)
    assert (ended.status, ended.delivery_id) == ("published", delivery_id)
    assert ended.reported_at is not None
    text = hall.report(build)
    assert text.startswith("## `edge`: published")
    assert f"(https://forge.example/acme/disk-images/runs/{build.run_id})" in text
    assert f"publications/{ended.publication_id})" in text


@pytest.mark.usefixtures("worker")
def test_a_build_that_is_resumed_by_hand_goes_back_to_sleep_and_publishes_nothing(hall: BuildFlowHarness) -> None:
    build = hall.dispatch()
    for times in (1, 2, 3):
        wait_for(partial(hall.has_slept, build, times), what=f"it went to sleep {times} times")
        if times < 3:
            wait_for(partial(hall.is_woken, build), what="it was woken")
    assert hall.foundry.build(build.id).status == "dispatched"

    hall.call_back(build)

    hall.wait(build, "Completed")


@pytest.mark.usefixtures("worker")
def test_a_bad_image_fails_the_run_of_its_build_with_the_reason(hall: BuildFlowHarness) -> None:
    build = hall.dispatch()
    hall.wait(build, "Suspended")

    hall.call_back(build, digest=hall.world.images.image(sign=False))

    assert "carries no signature" in hall.wait(build, "Failed")["message"]
    assert "carries no signature" in hall.report(build)


@pytest.mark.usefixtures("worker")
def test_callbacks_that_come_at_any_moment_of_going_to_sleep_are_never_slept_over(hall: BuildFlowHarness) -> None:
    builds = [hall.dispatch() for _ in range(6)]

    deliveries = [hall.call_back(build) for build in builds]

    for build in builds:
        assert hall.wait(build, "Completed")["message"] == "published"
    assert [hall.foundry.build(build.id).delivery_id for build in builds] == deliveries


def test_a_run_says_whether_it_was_woken_sleeps_not_yet_or_is_over(hall: BuildFlowHarness, worker: Program) -> None:
    build = hall.dispatch()
    hall.wait(build, "Suspended")
    assert hall.launcher.resume(flow_run(build)) is ResumeResult.RESUMED
    assert hall.launcher.resume(flow_run(build)) in {ResumeResult.NOT_YET, ResumeResult.RESUMED}
    hall.api.post(f"/flow_runs/{flow_run(build)}/set_state", {"state": {"type": "CANCELLED"}, "force": True})
    assert hall.launcher.resume(flow_run(build)) is ResumeResult.OVER
    assert hall.launcher.resume(uuid4()) is ResumeResult.OVER

    delivery_id = hall.call_back(build)

    wait_for(lambda: hall.world.delivery(delivery_id).status == "done", what="a run of its own has published it")
    assert hall.foundry.build(build.id).status == "published"
    assert worker.pid


@pytest.mark.usefixtures("worker")
def test_a_build_that_times_out_ends_its_run_with_the_reason(hall: BuildFlowHarness) -> None:
    build = hall.dispatch()
    hall.wait(build, "Suspended")
    with hall.world.catalog.transaction() as session:
        session.get_one(Build, build.id).deadline_at = build.created_at

    assert reconciler.reconcile_builds(hall.world.context).ended == 1

    assert hall.wait(build, "Failed")["message"].startswith(f"timed out: run {build.run_id} did not call back")
    wait_for(lambda: hall.foundry.build(build.id).reported_at is not None, what="it has reported")
    assert "timed out" in hall.report(build)
