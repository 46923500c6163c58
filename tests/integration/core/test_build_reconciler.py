"""Builds that do not call back: what the forge is asked, what is recovered from the registry, what is given up."""

from __future__ import annotations

from typing import Any

import pytest

from bootpress.core.builds import callbacks, reconciler
from bootpress.core.builds.models import Build
from bootpress.core.builds.rules import DISPATCH_ID, REVISION
from bootpress.core.deliveries import attempts
from bootpress.core.errors import ForgeRefused, ForgeUnavailable, RegistryUnreachable
from bootpress.core.ports import ForgeConnection, ForgeKind, GitRepository, JobKind, RunStatus, WorkflowRun
from bootpress.core.references import Repository
from tests.support.attempts import begin_launched
from tests.support.build_harness import REPO, BuildHarness
from tests.support.core_harness import REPOSITORY, CoreHarness, SingleRegistryFactory
from tests.support.layouts import MANIFEST, LayoutRegistry


@pytest.fixture
def foundry(world: CoreHarness) -> BuildHarness:
    world.platform()
    return BuildHarness(world)


def push(world: CoreHarness, *, tag: str = "main", **annotations: str) -> str:
    """Push and sign an image that says where it comes from, as the template's workflow does."""
    images = world.images
    kernel = images.blob(b"a kernel", "application/vnd.bootpress.kernel.v1")
    config = images.blob(b"{}", "application/vnd.oci.empty.v1+json")
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [kernel]}
    digest = images.registry.add_json({**document, "annotations": annotations}, tag=tag)
    images.sign(digest)
    return digest


def end_run(world: CoreHarness, foundry: BuildHarness, build: Build, conclusion: str = "success") -> None:
    """Let the run of a build end, and the forge be asked; then let the callback's grace pass."""
    assert build.run_id is not None
    foundry.forge.end_run(REPO, build.run_id, conclusion)
    world.clock.advance(seconds=60)
    reconciler.reconcile_builds(world.context)
    world.clock.advance(seconds=61)


def test_a_run_that_is_under_way_is_shown_so(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    assert build.run_id is not None
    assert reconciler.reconcile_builds(world.context).looked == 1
    assert foundry.build(build.id).status == "dispatched"
    found = foundry.forge.repositories[REPO]
    run = found.runs[build.run_id]
    found.runs[build.run_id] = type(run)(
        *(run.id, run.workflow, RunStatus.IN_PROGRESS, None, run.event, run.ref, run.head_sha, run.url, run.created_at)
    )
    assert reconciler.reconcile_builds(world.context).looked == 0  # just asked
    world.clock.advance(seconds=60)
    assert reconciler.reconcile_builds(world.context).looked == 1
    assert foundry.build(build.id).status == "running"


def test_a_lost_callback_is_recovered_from_the_registry(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    digest = push(world, **{DISPATCH_ID: build.dispatch_id, REVISION: "c0ffee"})
    end_run(world, foundry, build)
    assert foundry.build(build.id).delivery_id is None  # its grace was not over
    assert reconciler.reconcile_builds(world.context).recovered == 1
    assert world.launcher.resumed == [build.flow_run_id]
    waiting = foundry.build(build.id)
    assert waiting.delivery_id is not None
    delivery = world.delivery(waiting.delivery_id)
    assert (delivery.source, delivery.oci_ref, delivery.git_sha) == ("recovered", f"{REPOSITORY}@{digest}", "c0ffee")
    assert foundry.wake_up(build) == "published"
    ended = foundry.build(build.id)
    assert (ended.status, ended.error_message) == ("lost_callback_recovered", None)
    assert ended.publication_id is not None
    [event] = world.events("build_recovered")
    assert (event.severity, event.payload["publication_id"]) == ("medium", str(ended.publication_id))
    assert reconciler.reconcile_builds(world.context).recovered == 0


def test_a_workflow_without_a_dispatch_id_is_recovered_by_its_commit(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    push(world, **{REVISION: "C0FFEE"})
    end_run(world, foundry, build)
    assert reconciler.reconcile_builds(world.context).recovered == 1


def test_an_image_that_is_recovered_and_bad_fails_its_build(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    digest = push(world, **{DISPATCH_ID: build.dispatch_id})
    del world.layout.tags[digest.replace(":", "-")]  # nobody has signed it
    end_run(world, foundry, build)
    reconciler.reconcile_builds(world.context)
    assert foundry.wake_up(build) == "failed"
    assert foundry.build(build.id).status == "failed"
    assert world.events("build_recovered") == []


@pytest.mark.parametrize(
    ("annotations", "reason"),
    [
        (None, f"there is no {REPOSITORY}:main"),
        ({DISPATCH_ID: "of-another"}, "does not say that this build made it"),
        ({REVISION: "0ff1ce"}, "does not say that this build made it"),
        ({}, "does not say that this build made it"),
    ],
)
def test_a_run_that_ended_well_without_an_image_is_searched_for_ten_minutes(
    world: CoreHarness, foundry: BuildHarness, annotations: dict[str, str] | None, reason: str
) -> None:
    build = foundry.sleeping()
    if annotations is not None:
        push(world, **annotations)
    end_run(world, foundry, build)
    report = reconciler.reconcile_builds(world.context)
    assert (report.recovered, report.ended) == (0, 0)
    world.clock.advance(minutes=10)
    assert reconciler.reconcile_builds(world.context).ended == 1
    ended = foundry.build(build.id)
    assert ended.status == "failed"
    assert reason in str(ended.error_message)
    assert f"/runs/{build.run_id}" in str(ended.error_message)
    [event] = world.events("build_stuck")
    assert (event.severity, event.payload["status"]) == ("high", "failed")
    assert world.publications() == []


def test_a_registry_that_is_away_is_asked_again(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    push(world, **{DISPATCH_ID: build.dispatch_id})
    end_run(world, foundry, build)
    with world.registry_away("main"):
        [trouble] = reconciler.reconcile_builds(world.context).troubles
        assert "the registry does not answer" in trouble
        world.clock.advance(minutes=20)
        reconciler.reconcile_builds(world.context)
    assert foundry.build(build.id).status == "running"
    world.clock.advance(minutes=1)
    assert reconciler.reconcile_builds(world.context).recovered == 1


@pytest.mark.parametrize("conclusion", ["failure", "skipped"])
def test_a_run_that_fails_fails_its_build_with_a_link(
    world: CoreHarness, foundry: BuildHarness, conclusion: str
) -> None:
    build = foundry.sleeping()
    end_run(world, foundry, build, conclusion)
    ended = foundry.build(build.id)
    assert ended.status == "failed"
    assert f"ended with {conclusion}: https://forge.example/{REPO}/runs/{build.run_id}" in str(ended.error_message)
    assert len(world.events("build_stuck")) == 1
    assert world.launcher.resumed == [build.flow_run_id]  # its flow run says so too


def test_a_run_that_was_cancelled_at_the_forge_cancels_its_build(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    end_run(world, foundry, build, "cancelled")
    assert foundry.build(build.id).status == "cancelled"
    assert world.events("build_stuck") == []


def test_a_callback_that_came_before_its_run_failed_counts(world: CoreHarness, foundry: BuildHarness) -> None:
    """A later step failed; or nobody could be told of the callback, since Prefect is away."""
    build = foundry.sleeping()
    delivery_id = foundry.call_back(build)
    end_run(world, foundry, build, "failure")
    called = foundry.build(build.id)
    assert (called.status, called.delivery_id) == ("callback_received", delivery_id)
    attempts.launch_due(world.context)
    assert foundry.wake_up(build) == "published"


@pytest.mark.parametrize("outcome", ["published", "failed"])
def test_a_callback_that_was_ingested_by_hand_settles_its_build(
    world: CoreHarness, foundry: BuildHarness, outcome: str
) -> None:
    build = foundry.sleeping()
    delivery_id = foundry.call_back(build, digest=world.images.image(sign=outcome == "published"))
    assert world.process(delivery_id) == outcome
    assert foundry.build(build.id).status == "dispatched"
    end_run(world, foundry, build)
    ended = foundry.build(build.id)
    assert (ended.status, ended.delivery_id) == (outcome, delivery_id)
    assert ended.publication_id is not None


def test_a_build_past_its_deadline_has_timed_out_and_says_so(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    world.clock.advance(minutes=120)
    report = reconciler.reconcile_builds(world.context)
    assert (report.ended, report.woken) == (1, 1)
    ended = foundry.build(build.id)
    assert ended.status == "timed_out"
    assert ended.error_message == f"run {build.run_id} did not call back within 120 minutes"
    [event] = world.events("build_stuck")
    assert (event.severity, event.payload["status"], event.payload["run_id"]) == ("high", "timed_out", build.run_id)
    assert world.launcher.resumed == [build.flow_run_id]
    assert foundry.look(build).is_finished


def test_a_callback_that_comes_after_the_time_out_is_published_all_the_same(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    build = foundry.sleeping()
    world.clock.advance(minutes=120)
    reconciler.reconcile_builds(world.context)
    foundry.call_back(build)
    attempts.launch_due(world.context)
    [launch] = world.launcher.deliveries
    assert world.work(begin_launched(world, launch)) == "published"
    assert foundry.build(build.id).status == "timed_out"


def test_a_callback_that_is_still_tried_does_not_time_out(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    foundry.call_back(build)
    attempts.launch_due(world.context)
    with world.registry_away("referrers"):
        assert foundry.wake_up(build) == "postponed"
    world.clock.advance(hours=3)
    assert reconciler.reconcile_builds(world.context).ended == 0
    assert foundry.build(build.id).status == "callback_received"


def test_a_dispatch_whose_answer_was_lost_is_found_by_its_image_at_its_deadline(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    build = foundry.lose_answer()
    world.clock.advance(minutes=1)
    reconciler.reconcile_builds(world.context)
    [launch] = world.launcher.of(JobKind.BUILD)  # it may run: somebody waits for it
    assert launch.subject == build.id
    push(world, **{DISPATCH_ID: build.dispatch_id})
    world.clock.advance(minutes=120)
    report = reconciler.reconcile_builds(world.context)
    assert (report.recovered, report.ended) == (1, 0)
    assert foundry.forge.calls.count("dispatch") == 1


def test_a_dispatch_whose_answer_was_lost_and_that_never_ran_times_out(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    build = foundry.lose_answer()
    world.clock.advance(minutes=121)
    assert reconciler.reconcile_builds(world.context).ended == 1
    ended = foundry.build(build.id)
    assert ended.status == "timed_out"
    assert "which the forge did not name" in str(ended.error_message)


def test_a_forge_that_is_away_is_asked_once_a_tick_and_holds_up_a_deadline_for_ten_minutes(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    builds = [foundry.sleeping() for _ in range(3)]
    foundry.forge.away = True
    foundry.forge.calls.clear()
    report = reconciler.reconcile_builds(world.context)
    assert foundry.forge.calls == ["find_run"]
    assert len(report.troubles) == 3
    world.clock.advance(minutes=129)
    assert reconciler.reconcile_builds(world.context).ended == 0
    world.clock.advance(minutes=1)
    assert reconciler.reconcile_builds(world.context).ended == 3
    assert {foundry.build(build.id).status for build in builds} == {"timed_out"}


def test_a_build_whose_registry_is_away_at_its_deadline_is_recovered_a_moment_later(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    build = foundry.sleeping()
    push(world, **{DISPATCH_ID: build.dispatch_id})
    assert build.run_id is not None
    foundry.forge.end_run(REPO, build.run_id)
    world.clock.advance(minutes=120)
    with world.registry_away("main"):
        assert reconciler.reconcile_builds(world.context).ended == 0
    world.clock.advance(minutes=1)
    assert reconciler.reconcile_builds(world.context).recovered == 1


class SilentRegistry(LayoutRegistry):
    """A registry whose tags nobody gets an answer about; it counts the questions."""

    asked = 0

    def find_tag(self, repository: Repository, tag: str) -> str | None:
        self.asked += 1
        raise RegistryUnreachable("timed out")


def test_a_silent_registry_is_asked_once_a_tick_however_many_images_are_looked_for(catalog_url: str) -> None:
    silent = SilentRegistry()
    world = CoreHarness(catalog_url, registries=SingleRegistryFactory(silent))
    world.platform()
    foundry = BuildHarness(world)
    for build in [foundry.sleeping() for _ in range(3)]:
        assert build.run_id is not None
        foundry.forge.end_run(REPO, build.run_id)
    world.clock.advance(seconds=60)
    reconciler.reconcile_builds(world.context)
    world.clock.advance(seconds=61)
    for ticks in (1, 2):
        assert len(reconciler.reconcile_builds(world.context).troubles) == 3
        assert silent.asked == ticks
        world.clock.advance(seconds=61)
    world.catalog.close()


def test_a_forge_that_hangs_holds_up_no_other_forges_builds_and_no_report(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    hanging = [foundry.sleeping() for _ in range(2)]
    ended = foundry.sleeping()
    delivery_id = foundry.call_back(ended)
    assert world.process(delivery_id) == "published"
    callbacks.find_callback(world.context, ended.id)
    healthy = foundry.sleeping()
    passed, open_forge, hung = [0.0], world.forges.open, []

    class Hanging:
        def find_run(self, _repository: GitRepository, run_id: str) -> None:
            hung.append(run_id)
            passed[0] += 60
            raise ForgeUnavailable("it does not answer")

    def open_either(connection: ForgeConnection) -> Any:
        return Hanging() if connection.name == "default" else open_forge(connection)

    world.context.connections.save_forge(world.account_id, ForgeConnection("other", ForgeKind.GITEA, "https://f", "t"))
    with world.catalog.transaction() as session:
        session.get_one(Build, healthy.id).forge_name = "other"
    world.forges.open = open_either  # type: ignore[method-assign]  # two forges, of which one hangs
    report = reconciler.reconcile_builds(world.context, monotonic=lambda: passed[0])
    assert (len(hung), report.looked, report.woken) == (1, 0, 1)  # what was built meanwhile is reported all the same
    world.clock.advance(seconds=60)
    report = reconciler.reconcile_builds(world.context, monotonic=lambda: passed[0])
    assert (len(hung), report.looked) == (2, 1)
    assert foundry.build(healthy.id).last_polled_at == world.clock.now()
    assert {foundry.build(one.id).status for one in hanging} == {"dispatched"}


@pytest.mark.parametrize("error", [ForgeUnavailable("it answers 500"), ForgeRefused("it is elsewhere")])
def test_a_run_that_its_forge_stumbles_over_is_in_the_way_of_no_other(
    world: CoreHarness, foundry: BuildHarness, error: Exception
) -> None:
    bad, good = foundry.sleeping(), foundry.sleeping()
    find, asked = foundry.forge.find_run, []

    def stumble(repository: GitRepository, run_id: str) -> WorkflowRun | None:
        asked.append(run_id)
        if run_id == bad.run_id:
            raise error
        return find(repository, run_id)

    foundry.forge.find_run = stumble  # type: ignore[method-assign]  # one run is broken
    reconciler.reconcile_builds(world.context)
    world.clock.advance(seconds=60)
    asked.clear()
    assert reconciler.reconcile_builds(world.context).looked == 1
    assert asked == [good.run_id, bad.run_id]


def test_what_was_built_while_we_were_away_is_recovered_though_its_deadline_is_over(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    build = foundry.sleeping()
    assert build.run_id is not None
    push(world, **{DISPATCH_ID: build.dispatch_id})
    foundry.forge.end_run(REPO, build.run_id)
    world.clock.advance(hours=9)
    report = reconciler.reconcile_builds(world.context)
    assert (report.recovered, report.ended) == (1, 0)
    assert foundry.wake_up(build) == "published"
    assert foundry.build(build.id).status == "lost_callback_recovered"


def test_a_tick_takes_no_longer_than_it_may_and_goes_on_where_it_ended(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    for _ in range(3):
        foundry.dispatch()
    watch = iter(range(100))
    assert reconciler.reconcile_builds(world.context, seconds=3, monotonic=lambda: next(watch)).looked == 2
    world.clock.advance(seconds=60)
    looked = [build.id for build in foundry.builds() if build.last_polled_at is not None]
    watch = iter(range(100))
    assert reconciler.reconcile_builds(world.context, seconds=2, monotonic=lambda: next(watch)).looked == 1
    assert len([build for build in foundry.builds() if build.last_polled_at is not None]) == 3
    assert len(looked) == 2


def test_the_flow_of_a_build_that_prefect_did_not_take_is_started_later(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    with world.launcher.switched_off():
        build = foundry.build(foundry.dispatch()["build_id"])
    reconciler.reconcile_builds(world.context)
    assert world.launcher.of(JobKind.BUILD) == []  # the operation may be about to
    world.clock.advance(minutes=1)
    reconciler.reconcile_builds(world.context)
    [launch] = world.launcher.of(JobKind.BUILD)
    assert foundry.build(build.id).flow_run_id == launch.run_id


def test_the_flow_run_of_an_ended_build_is_woken_until_it_has_reported_or_is_over(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    build = foundry.build(foundry.dispatch()["build_id"])
    assert build.flow_run_id is not None
    delivery_id = foundry.call_back(build)
    world.process(delivery_id)
    end_run(world, foundry, build)
    assert reconciler.reconcile_builds(world.context).woken == 0  # not asleep yet
    world.launcher.waiting.add(build.flow_run_id)
    assert reconciler.reconcile_builds(world.context).woken == 1
    assert foundry.build(build.id).reported_at is None
    world.launcher.over.add(build.flow_run_id)
    reconciler.reconcile_builds(world.context)
    assert foundry.build(build.id).reported_at == world.clock.now()
    with world.launcher.switched_off():
        assert reconciler.reconcile_builds(world.context).troubles == []


def test_prefect_away_is_a_trouble_and_no_failure(world: CoreHarness, foundry: BuildHarness) -> None:
    foundry.sleeping()
    world.clock.advance(minutes=120)
    with world.launcher.switched_off():
        report = reconciler.reconcile_builds(world.context)
    assert report.ended == 1
    assert "away" in " ".join(report.troubles)


def test_a_build_of_no_platform_whose_run_ended_is_not_searched_for(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping(inputs={})
    end_run(world, foundry, build)
    world.clock.advance(minutes=10)
    reconciler.reconcile_builds(world.context)
    assert "belongs to no platform" in str(foundry.build(build.id).error_message)
