"""A delivery and the build that waits for it: who is woken, who ingests, and how the build ends, in every order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from bootpress.core.builds import callbacks, reports
from bootpress.core.builds.models import Build
from bootpress.core.context import Limits
from bootpress.core.deliveries import attempts
from bootpress.core.errors import NotFound, OrchestratorUnavailable, Superseded
from bootpress.core.ports import JobKind
from tests.support.attempts import announce_many, begin_launched, find_attempt, live_attempts
from tests.support.build_harness import REPO, WORKFLOW, BuildHarness
from tests.support.core_harness import REPOSITORY, CoreHarness
from tests.support.fake_forge import WORKFLOWS


@pytest.fixture
def foundry(world: CoreHarness) -> BuildHarness:
    world.platform()
    return BuildHarness(world)


def test_a_callback_wakes_the_run_that_waits_and_the_build_ends_with_its_publication(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    build = foundry.sleeping()
    delivery_id = foundry.call_back(build)
    assert attempts.launch_due(world.context).launched == 1
    assert world.launcher.resumed == [build.flow_run_id]
    assert world.launcher.deliveries == []
    called = foundry.build(build.id)
    assert (called.status, called.delivery_id) == ("callback_received", delivery_id)
    assert world.delivery(delivery_id).build_id == build.id
    assert foundry.wake_up(build) == "published"
    ended = foundry.build(build.id)
    assert (ended.status, ended.publication_id) == ("published", world.delivery(delivery_id).publication_id)
    assert ended.finished_at == world.clock.now()
    assert foundry.look(build).is_finished


def test_an_image_that_is_refused_fails_its_build_with_the_same_reason(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    build = foundry.sleeping()
    foundry.call_back(build, digest=world.images.image(sign=False))
    attempts.launch_due(world.context)
    assert foundry.wake_up(build) == "failed"
    ended = foundry.build(build.id)
    assert ended.status == "failed"
    assert "carries no signature" in str(ended.error_message)
    assert ended.publication_id is not None


def test_a_build_whose_image_is_published_already_is_published(world: CoreHarness, foundry: BuildHarness) -> None:
    digest = world.images.image()
    publication_id = world.publish(digest=digest)
    build = foundry.sleeping()
    foundry.call_back(build, digest=digest)
    attempts.launch_due(world.context)
    assert foundry.wake_up(build) == "nothing to do"
    ended = foundry.build(build.id)
    assert (ended.status, ended.publication_id) == ("published", publication_id)


def test_a_build_whose_image_was_retired_meanwhile_has_failed_and_says_so(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    digest = world.images.image()
    publication_id = world.publish(digest=digest)
    with world.catalog.transaction() as session:
        session.get_one(type(world.publication(publication_id)), publication_id).status = "retired"
    build = foundry.sleeping()
    foundry.call_back(build, digest=digest)
    attempts.launch_due(world.context)
    foundry.wake_up(build)
    ended = foundry.build(build.id)
    assert (ended.status, ended.error_message) == ("failed", "its image was known already, and is retired")


def test_a_delivery_that_nobody_waits_for_is_launched_as_ever(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    foundry.call_back(build, dispatch_id="of-somebody-else")
    assert attempts.launch_due(world.context).launched == 1
    assert len(world.launcher.deliveries) == 1
    assert foundry.build(build.id).status == "dispatched"


def test_another_accounts_delivery_wakes_nobody(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    stranger = world.new_caller("other")
    made = world.call("provision_disk_image_webhook", stranger, label="ci")
    body = world.body(dispatch_id=build.dispatch_id, ref=f"{REPOSITORY}@{world.images.image()}")
    world.post(body, webhook_id=UUID(made["webhook_id"]), secret=made["webhook_secret"])
    attempts.launch_due(world.context)
    assert (world.launcher.resumed, len(world.launcher.deliveries)) == ([], 1)
    assert foundry.build(build.id).delivery_id is None


def test_where_no_build_waits_a_launch_costs_one_look_more_and_writes_nothing_more(world: CoreHarness) -> None:
    statements: list[str] = []
    [first, _] = announce_many(world, 2)

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    event.listen(world.catalog.engine, "after_cursor_execute", note)
    world.context.launcher.launch(JobKind.DELIVERY, first, key=uuid4(), run_name="x")
    event.remove(world.catalog.engine, "after_cursor_execute", note)
    assert len([one for one in statements if one.startswith("SELECT")]) == 1
    assert not [one for one in statements if one.startswith(("UPDATE", "INSERT"))]


def test_four_builds_in_flight_each_get_their_own_callback(world: CoreHarness, foundry: BuildHarness) -> None:
    builds = [foundry.sleeping() for _ in range(4)]
    for build in reversed(builds):
        foundry.call_back(build)
    attempts.launch_due(world.context)
    assert {foundry.wake_up(build) for build in builds} == {"published"}
    published = [foundry.build(build.id).publication_id for build in builds]
    assert len(set(published)) == 4
    for build in builds:
        assert world.delivery(foundry.build(build.id).delivery_id).build_id == build.id  # type: ignore[arg-type]  # set since


def test_the_tutorials_body_finds_the_build_of_its_platform_and_tag(world: CoreHarness, foundry: BuildHarness) -> None:
    foundry.files[WORKFLOWS + WORKFLOW] = b"on: {workflow_dispatch: {inputs: {platform_slug: {type: string}}}}"
    build = foundry.sleeping()
    world.images.image(tag="main")
    world.announce(ref=f"{REPOSITORY}:main", sbom_path="build/sbom.spdx.json")
    attempts.launch_due(world.context)
    assert foundry.wake_up(build) == "published"
    assert foundry.build(build.id).status == "published"


def test_a_callback_that_comes_before_the_run_sleeps_is_found_by_it(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.build(foundry.dispatch()["build_id"])  # launched, and not begun
    foundry.call_back(build)
    attempts.launch_due(world.context)
    assert (world.launcher.resumed, world.launcher.deliveries) == ([], [])
    assert foundry.wake_up(build) == "published"


def test_a_run_that_does_not_wake_costs_a_lease(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.build(foundry.dispatch()["build_id"])
    delivery_id = foundry.call_back(build)
    attempts.launch_due(world.context)
    assert attempts.launch_due(world.context).launched == 0
    world.clock.advance(seconds=31)
    assert attempts.launch_due(world.context).launched == 1
    [launch] = world.launcher.deliveries
    late = foundry.look(build)
    assert (late.delivery_id, late.attempt_id, late.is_finished) == (delivery_id, None, False)
    assert world.work(begin_launched(world, launch)) == "published"
    assert foundry.build(build.id).status == "published"


def test_a_run_that_is_over_has_its_delivery_launched_at_once(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.build(foundry.dispatch()["build_id"])
    assert build.flow_run_id is not None
    world.launcher.over.add(build.flow_run_id)
    foundry.call_back(build)
    attempts.launch_due(world.context)
    [launch] = world.launcher.deliveries
    assert find_attempt(world, launch.key).flow_run_id == launch.run_id
    assert world.work(begin_launched(world, launch)) == "published"
    assert foundry.build(build.id).status == "published"


def test_a_build_without_a_flow_run_has_its_delivery_launched(world: CoreHarness, foundry: BuildHarness) -> None:
    with world.launcher.switched_off():
        build = foundry.build(foundry.dispatch()["build_id"])
    foundry.call_back(build)
    attempts.launch_due(world.context)
    [launch] = world.launcher.deliveries
    assert world.work(begin_launched(world, launch)) == "published"
    assert foundry.build(build.id).status == "published"


def test_a_run_that_dies_while_it_ingests_loses_nothing(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    delivery_id = foundry.call_back(build)
    attempts.launch_due(world.context)
    outlook = foundry.look(build)
    attempts.start(
        world.context, delivery_id, attempt_id=outlook.attempt_id, flow_run_id=foundry.build(build.id).flow_run_id
    )
    world.clock.advance(seconds=31)
    attempts.launch_due(world.context)
    [launch] = world.launcher.deliveries
    assert world.work(begin_launched(world, launch)) == "published"
    assert foundry.build(build.id).status == "published"


def test_two_runs_never_take_one_attempt(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    delivery_id = foundry.call_back(build)
    attempts.launch_due(world.context)
    slow = foundry.look(build)
    world.clock.advance(seconds=31)
    attempts.launch_due(world.context)
    [launch] = world.launcher.deliveries
    begin_launched(world, launch)
    with pytest.raises(Superseded):
        attempts.start(world.context, delivery_id, attempt_id=slow.attempt_id, flow_run_id=build.flow_run_id)


def test_prefect_away_when_a_callback_comes_is_asked_again(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    foundry.call_back(build)
    with world.launcher.switched_off(), pytest.raises(OrchestratorUnavailable):
        attempts.launch_due(world.context)
    assert live_attempts(world) == []
    attempts.launch_due(world.context)
    assert world.launcher.resumed == [build.flow_run_id]
    assert foundry.wake_up(build) == "published"


def test_a_callback_that_is_put_off_is_taken_up_by_a_run_of_its_own(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    foundry.call_back(build)
    attempts.launch_due(world.context)
    with world.registry_away("referrers"):
        assert foundry.wake_up(build) == "postponed"
    outlook = foundry.look(build)
    assert (outlook.attempt_id, outlook.is_finished) == (None, False)
    assert outlook.wait.total_seconds() > 24 * 3600  # as long as its delivery is tried
    world.clock.advance(seconds=20)
    attempts.launch_due(world.context)
    [launch] = world.launcher.deliveries
    assert world.work(begin_launched(world, launch)) == "published"
    assert foundry.build(build.id).status == "published"


def test_what_an_operator_tries_again_is_no_callback(world: CoreHarness, foundry: BuildHarness) -> None:
    old = world.announce(ref=f"{REPOSITORY}@{world.images.image(sign=False)}", git_sha="c0ffee")
    assert world.process(old) == "failed"
    world.clock.advance(minutes=1)
    build = foundry.sleeping()
    assert build.head_sha == "c0ffee"
    [publication] = world.publications()
    world.call("system_retry_disk_image_publication", publication_id=str(publication.id))
    attempts.launch_due(world.context)
    assert callbacks.find_callback(world.context, build.id) is None
    assert (foundry.build(build.id).status, world.launcher.resumed) == ("dispatched", [])


def test_callbacks_in_a_batch_settle_their_builds(catalog_url: str) -> None:
    world = CoreHarness(catalog_url, limits=Limits(launches_in_flight=1))
    world.platform()
    foundry = BuildHarness(world)
    builds = [foundry.sleeping() for _ in range(2)]
    ids = [foundry.call_back(build) for build in builds]
    announce_many(world, 2)
    assert attempts.launch_due(world.context).batches == 1
    assert [foundry.build(build.id).delivery_id for build in builds] == ids
    [batch] = world.launcher.batches
    held = dict(attempts.attempts_of_batch(world.context, batch.subject))
    for delivery_id in ids:
        attempt_id = attempts.start(world.context, delivery_id, attempt_id=held[delivery_id], flow_run_id=batch.run_id)
        assert world.work(attempt_id) == "published"
    assert {foundry.build(build.id).status for build in builds} == {"published"}
    world.catalog.close()


def test_a_run_that_somebody_resumes_by_hand_finds_nothing_and_sleeps_again(foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    outlook = foundry.look(build)
    assert (outlook.is_finished, outlook.delivery_id, outlook.attempt_id) == (False, None, None)
    assert outlook.wait.total_seconds() == (120 + 15) * 60
    assert foundry.build(build.id).status == "dispatched"


def test_the_run_that_looked_last_is_the_one_that_is_woken(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    started_by_hand = uuid4()
    callbacks.next_step(world.context, build.id, flow_run_id=started_by_hand)
    world.launcher.waiting.add(started_by_hand)
    foundry.call_back(build)
    attempts.launch_due(world.context)
    assert world.launcher.resumed == [started_by_hand]
    with pytest.raises(NotFound):
        callbacks.next_step(world.context, uuid4(), flow_run_id=None)


def test_a_second_callback_of_the_same_build_is_a_delivery_like_any_other(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    build = foundry.sleeping()
    first = foundry.call_back(build)
    attempts.launch_due(world.context)
    second = foundry.call_back(build)
    attempts.launch_due(world.context)
    assert [launch.delivery_id for launch in world.launcher.deliveries] == [second]
    assert foundry.build(build.id).delivery_id == first
    assert world.delivery(second).build_id is None


def test_a_build_of_no_platform_is_found_by_its_id(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping(inputs={})
    foundry.call_back(build)
    attempts.launch_due(world.context)
    assert foundry.wake_up(build) == "published"
    assert foundry.build(build.id).status == "published"


def test_a_dispatch_whose_answer_was_lost_is_found_by_its_callback(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.lose_answer()
    foundry.call_back(build, run_id="31", git_sha="d00d")
    attempts.launch_due(world.context)
    found = foundry.build(build.id)
    assert (found.status, found.run_id, found.head_sha) == ("callback_received", "31", "d00d")


def test_a_callback_that_is_quicker_than_the_answer_to_the_dispatch_is_kept(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    tell = foundry.forge.dispatch

    def ring_first(*given: Any, **named: Any) -> str | None:
        tell(*given, **named)
        [build] = foundry.builds()
        foundry.call_back(build, run_id="31")
        attempts.launch_due(world.context)
        return None

    foundry.forge.dispatch = ring_first  # type: ignore[method-assign]  # a forge that runs at once, and cannot tell
    build = foundry.build(foundry.dispatch()["build_id"])
    assert (build.status, build.run_id) == ("callback_received", "31")
    [launch] = world.launcher.deliveries
    assert world.work(begin_launched(world, launch)) == "published"
    assert foundry.look(build).is_finished


def test_a_report_links_the_run_and_the_publication(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping()
    foundry.call_back(build)
    attempts.launch_due(world.context)
    foundry.wake_up(build)
    ending = reports.get_summary(world.context, build.id)
    assert (ending.status, ending.reason, ending.platform) == ("published", "", "edge")
    assert f"[{build.run_id}](https://forge.example/{REPO}/runs/{build.run_id})" in ending.text
    publication_id = foundry.build(build.id).publication_id
    assert f"(https://press.example/app/publications/{publication_id})" in ending.text
    reports.mark_reported(world.context, build.id)
    assert foundry.build(build.id).reported_at == world.clock.now()


def test_nothing_in_a_report_passes_for_markup(world: CoreHarness, foundry: BuildHarness) -> None:
    build = foundry.sleeping(inputs={"platform_slug": "`<b>` | [x](javascript:alert(1))"})
    with world.catalog.transaction() as session:
        row = session.get_one(Build, build.id)
        row.run_url, row.error_message = "https://x.example/) [y](http://evil.example", "# <img>"
    text = reports.get_summary(world.context, build.id).text
    assert "<b>" not in text
    assert "evil" not in text
    assert "\\# \\<img\\>" in text


@pytest.mark.part("postgresql")
def test_of_two_callbacks_at_once_one_is_the_builds(postgres_world: CoreHarness) -> None:
    world = postgres_world
    world.platform()
    foundry = BuildHarness(world)
    builds = [foundry.sleeping() for _ in range(3)]
    ids = [foundry.call_back(build) for build in builds for _ in range(2)]
    with ThreadPoolExecutor(len(ids)) as pool:
        assert all(pool.map(lambda one: attempts.launch(world.context, one), ids))
    assert sorted(map(str, world.launcher.resumed)) == sorted(str(build.flow_run_id) for build in builds)
    assert len(world.launcher.deliveries) == 3
    called = {foundry.build(build.id).delivery_id for build in builds}
    assert called | {launch.delivery_id for launch in world.launcher.deliveries} == set(ids)
    assert len(called) == 3
