"""Provisioning runners and terminating workers: what is there afterwards, whatever fails or dies in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bootpress.core.errors import (
    Conflict,
    Forbidden,
    ForgeRefused,
    ForgeUnavailable,
    InvalidInput,
    NotFound,
    RunnerHostRefused,
    RunnerHostUnavailable,
    Unsupported,
)
from bootpress.core.ports import ForgeConnection, ForgeKind, Runner
from tests.support.bootstrap_harness import Killed
from tests.support.core_harness import CoreHarness
from tests.support.runner_harness import CrashPlan, RunnerHarness

PROVISION = 8
"""Calls to the forge and the Docker host of a first provisioning; the first three come before any row is written."""
REPLACE = 9
TERMINATE = 3


@pytest.fixture
def yard(world: CoreHarness) -> RunnerHarness:
    yard = RunnerHarness(world)
    yard.call()
    yard.asked()
    return yard


def runner(runner_id: str, name: str, *labels: str, online: bool = True, busy: bool = False) -> Runner:
    return Runner(runner_id, name, is_online=online, is_busy=busy, labels=labels, last_seen_at=None)


def test_a_runner_is_run_registered_online_and_keeps_no_token(yard: RunnerHarness) -> None:
    answer = yard.provision()

    assert (answer["ok"], answer["action"], answer["warnings"]) == (True, "created", [])
    assert answer["image"] == "gitea/act_runner"
    [worker] = yard.workers()
    [(container_id, spec)] = yard.host.containers.values()
    assert answer["worker"]["id"] == str(worker.id)
    assert answer["worker"]["status"] == "online"
    assert answer["worker"]["labels"] == ["disk-image-builder", "amd64"] == list(spec.labels)
    assert answer["container_id"] == worker.container_id == container_id
    assert (spec.name, spec.forge_url, spec.worker_id) == ("edge-builder", "https://forge.example", worker.id)
    assert spec.registration_token == "registers-at-acme/disk-images"
    assert yard.host.has_token == set()
    assert yard.runners() == ["edge-builder"]
    assert yard.listed() == {"edge-builder": "online"}
    kept = [(one.request, one.step_results, one.encrypted_result) for one in yard.sagas()]
    assert spec.registration_token not in str(kept)


def test_a_repeat_keeps_the_runner_and_its_labels(yard: RunnerHarness) -> None:
    first = yard.provision(labels=["disk-image-builder", "arm64", "arm64"])
    again = yard.provision("  EDGE-builder ")
    assert again["action"] == "kept"
    assert again["container_id"] == first["container_id"]
    assert again["worker"] == first["worker"] | {"last_seen_at": again["worker"]["last_seen_at"]}
    assert again["worker"]["labels"] == ["disk-image-builder", "arm64"]
    assert len(yard.host.containers) == len(yard.runners()) == len(yard.workers()) == 1


def test_other_labels_replace_the_runner_and_its_registration(yard: RunnerHarness) -> None:
    first = yard.provision()
    second = yard.provision(labels=["arm64"])
    assert second["action"] == "replaced"
    assert second["container_id"] != first["container_id"]
    assert [(one.id, one.labels) for one in yard.at_forge().runners.values()] == [("2", ("arm64",))]
    assert yard.workers()[0].runner_id == "2"


def test_a_runner_that_moves_to_another_host_leaves_the_old_one(yard: RunnerHarness) -> None:
    yard.provision()
    elsewhere = "tcp://builder.example:2376"
    yard.world.runner_hosts.opened.clear()
    answer = yard.provision(runner_host=elsewhere)
    assert answer["runner_host"] == elsewhere
    assert list(dict.fromkeys(yard.world.runner_hosts.opened)) == [elsewhere, None]
    assert yard.workers()[0].runner_host == "tcp://builder.example:2376"
    assert len(yard.host.containers) == len(yard.runners()) == 1


def test_a_runner_that_the_forge_forgot_is_run_anew(yard: RunnerHarness) -> None:
    first = yard.provision()
    yard.at_forge().runners.clear()
    second = yard.provision()
    assert second["action"] == "replaced"
    assert second["container_id"] != first["container_id"]
    assert yard.listed() == {"edge-builder": "online"}


def test_a_new_name_is_another_runner_of_the_only_repository(yard: RunnerHarness) -> None:
    yard.provision()
    second = yard.provision("edge-2")
    assert second["worker"]["name"] == "edge-2"
    assert sorted(yard.runners()) == ["edge-2", "edge-builder"]
    assert yard.listed() == {"edge-builder": "online", "edge-2": "online"}
    yard.terminate(second["worker"]["id"])
    assert yard.runners() == ["edge-builder"]
    assert yard.listed() == {"edge-builder": "online", "edge-2": "revoked"}


def test_a_new_name_says_which_repositories_there_are_to_choose_from(yard: RunnerHarness) -> None:
    yard.world.clock.advance(seconds=1)
    yard.call(repo="others", label="other-builder")
    with pytest.raises(Conflict, match="2 build repositories") as caught:
        yard.provision("edge-2")
    assert "'edge-builder', 'other-builder'" in str(caught.value.hint)
    assert yard.provision("other-builder")["worker"]["status"] == "online"


def test_without_a_build_repository_bootstrap_is_named(world: CoreHarness) -> None:
    yard = RunnerHarness(world)
    with pytest.raises(Conflict, match="no build repository") as caught:
        yard.provision()
    assert "bootstrap_disk_image_ci" in str(caught.value.hint)


def test_without_a_forge_connecting_one_is_named(yard: RunnerHarness) -> None:
    yard.world.connections._forges.clear()
    with pytest.raises(Conflict, match="no forge 'default' is connected"):
        yard.provision()


def test_the_embedded_forge_takes_no_runner(yard: RunnerHarness) -> None:
    url = yard.world.forges.local_url(yard.world.account_id)
    yard.world.connections.save_forge(yard.world.account_id, ForgeConnection("default", ForgeKind.LOCAL, url))
    with pytest.raises(Unsupported, match="runs the jobs itself"):
        yard.provision()


def test_what_is_no_label_is_refused_before_a_row_is_written(yard: RunnerHarness) -> None:
    with pytest.raises(InvalidInput) as caught:
        yard.provision(labels=["ubuntu:docker://node"])
    assert caught.value.field == "labels"
    assert len(yard.sagas()) == 1


def test_what_can_be_seen_before_is_refused_before_a_row_is_written(yard: RunnerHarness) -> None:
    yard.host.away = True
    with pytest.raises(RunnerHostUnavailable):
        yard.provision()
    yard.host.away = False
    yard.forge.info = replace(yard.forge.info, missing_scopes=("write:repository",))
    with pytest.raises(ForgeRefused, match="write:repository"):
        yard.provision()
    yard.forge.info = replace(yard.forge.info, missing_scopes=())
    yard.forge.repositories.clear()
    with pytest.raises(Conflict, match="has no acme/disk-images any more"):
        yard.provision()
    assert len(yard.sagas()) == 1


def test_both_operations_need_their_permission(yard: RunnerHarness) -> None:
    reader = yard.world.new_caller("acme", "system.ci_workers.read")
    for name, fields in (("provision", {"name": "edge-builder"}), ("terminate", {"id": str(yard.workers()[0].id)})):
        with pytest.raises(Forbidden, match=r"system\.ci_workers\.manage"):
            yard.world.call(f"system_{name}_ci_worker", reader, **fields)


@pytest.mark.parametrize("name", ["edge-builder", "edge-2"])
def test_a_runner_that_never_comes_online_shows_the_end_of_its_log_and_leaves_nothing(
    yard: RunnerHarness, name: str
) -> None:
    before = [(one.label, one.labels, one.container_id) for one in yard.workers()]
    yard.host.on_start = lambda spec: yard.at_forge().runners.update({"9": runner("9", spec.name, online=False)})
    yard.host.log = [
        *["trying"] * 30,
        "\x1b[31mCannot ping\x1b[0m with registers-at-acme/disk-images",
        "<script>\r\x00 " + "x" * 5000,
    ]
    with pytest.raises(RunnerHostRefused, match="did not come online") as caught:
        yard.provision(name)
    said = caught.value.message
    assert "trying / Cannot ping with *** / <script>" in said
    assert "registers-at" not in said
    assert "\x1b" not in said
    assert len(said) < 600
    assert "BOOTPRESS_RUNNER_IMAGE" in str(caught.value.hint)
    assert yard.host.containers == {}
    assert yard.runners() == []
    assert [(one.label, one.labels, one.container_id) for one in yard.workers()] == before


def test_a_replacement_that_fails_leaves_neither_the_old_runner_nor_the_new(yard: RunnerHarness) -> None:
    yard.provision()
    yard.host.on_start = lambda _: None
    with pytest.raises(RunnerHostRefused):
        yard.provision(labels=["other"])
    assert (yard.host.containers, yard.runners()) == ({}, [])
    [worker] = yard.workers()
    assert (worker.labels, worker.container_id, worker.runner_id) == ([], None, None)


def test_a_runner_of_somebody_else_with_the_same_name_is_not_taken_for_ours(yard: RunnerHarness) -> None:
    yard.at_forge().runners["77"] = runner("77", "edge-builder")
    yard.host.on_start = lambda _: None
    with pytest.raises(RunnerHostRefused, match="did not come online"):
        yard.provision()
    assert list(yard.at_forge().runners) == ["77"]


def test_a_runner_that_was_there_stays_when_a_repeat_fails(yard: RunnerHarness) -> None:
    first = yard.provision()
    yard.forge.fail_at = ["registration_token"]
    with pytest.raises(ForgeUnavailable):
        yard.provision()
    assert yard.provision()["container_id"] == first["container_id"]
    assert yard.workers()[0].labels == ["disk-image-builder", "amd64"]


def test_what_an_abandoned_provisioning_could_not_remove_a_termination_removes(yard: RunnerHarness) -> None:
    def die(_: Any) -> None:
        yard.host.away = True

    yard.host.on_start = die
    with pytest.raises(RunnerHostRefused, match="cannot be shown: the fake Docker host is away"):
        yard.provision("edge-2")
    assert len(yard.host.containers) == 1
    yard.host.away = False
    left = next(one for one in yard.workers() if one.label == "edge-2")
    assert yard.terminate(str(left.id))["container_removed"]
    assert yard.host.containers == {}


def test_a_terminated_worker_is_revoked_its_runners_gone_and_its_read_token_dead(yard: RunnerHarness) -> None:
    yard.call(create_platform_read_token=True)
    yard.provision()
    yard.at_forge().runners["77"] = runner("77", "somewhere", "disk-image-builder", busy=True)
    worker_id = str(yard.workers()[0].id)

    answer = yard.terminate(worker_id)

    assert answer["worker"]["status"] == "revoked"
    assert answer["runners_deregistered"] == ["edge-builder", "somewhere"]
    assert answer["container_removed"] is True
    assert "somewhere was busy" in answer["warnings"][0]
    assert "system_revoke_disk_image_webhook" in answer["warnings"][1]
    assert yard.runners() == []
    assert yard.host.containers == {}
    assert [token.revoked_at is not None for token in yard.tokens()] == [True]
    assert yard.listed() == {"edge-builder": "revoked"}
    again = yard.terminate(worker_id)
    assert (again["worker"]["status"], again["runners_deregistered"], again["flow_run_id"]) == ("revoked", [], None)


def test_a_worker_whose_runner_is_not_ours_needs_no_docker_host(yard: RunnerHarness) -> None:
    yard.at_forge().runners["77"] = runner("77", "somewhere")
    yard.host.away = True
    answer = yard.terminate(str(yard.workers()[0].id))
    assert (answer["runners_deregistered"], answer["container_removed"]) == (["somewhere"], False)


def test_only_the_runners_that_belong_to_a_worker_are_deregistered(yard: RunnerHarness) -> None:
    yard.world.clock.advance(seconds=1)
    yard.call(label="second")
    yard.at_forge().runners.update(
        {"1": runner("1", "SECOND"), "2": runner("2", "x", "second"), "3": runner("3", "nobody's")}
    )
    second = next(one for one in yard.workers() if one.label == "second")
    assert yard.terminate(str(second.id))["runners_deregistered"] == ["SECOND", "x"]
    assert yard.runners() == ["nobody's"]


def test_a_label_that_was_terminated_can_be_set_up_and_run_again(yard: RunnerHarness) -> None:
    yard.provision()
    yard.terminate(str(yard.workers()[0].id))
    yard.world.clock.advance(seconds=1)
    yard.call()
    assert yard.provision()["action"] == "created"
    assert [one.status for one in yard.workers()] == ["revoked", "active"]


def test_a_bootstrap_that_fails_leaves_a_worker_that_has_a_runner(yard: RunnerHarness) -> None:
    yard.provision("edge-2")
    yard.forge.fail_at = ["set_secret POWERNODE_WEBHOOK_SECRET"]
    with pytest.raises(ForgeUnavailable):
        yard.call(label="edge-2", repo="others")
    yard.clear("edge-2")
    assert yard.host.containers == {}


def test_a_repository_that_is_gone_is_in_the_way_of_no_termination(yard: RunnerHarness) -> None:
    yard.forge.repositories.clear()
    assert yard.terminate(str(yard.workers()[0].id))["worker"]["status"] == "revoked"


@pytest.mark.parametrize("call", ["list_runners", "delete_runner"])
def test_a_forge_that_fails_in_the_middle_is_an_error_and_a_repeat_ends_it(yard: RunnerHarness, call: str) -> None:
    yard.provision()
    worker_id = str(yard.workers()[0].id)
    yard.forge.fail_at = [call]
    with pytest.raises(ForgeUnavailable):
        yard.terminate(worker_id)
    assert yard.listed()["edge-builder"] != "revoked"
    assert yard.terminate(worker_id)["worker"]["status"] == "revoked"
    assert yard.runners() == []


def test_another_accounts_worker_is_not_found(yard: RunnerHarness) -> None:
    other = yard.world.new_caller("rival")
    with pytest.raises(NotFound):
        yard.world.call("system_terminate_ci_worker", other, id=str(yard.workers()[0].id))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("relaunched", [True, False], ids=["another-run-goes-on", "called-again"])
def test_killed_at_any_call_and_run_again_ends_the_same(yard: RunnerHarness, *, after: bool, relaunched: bool) -> None:
    deaths = yard.mortal_calls()
    for at in range(PROVISION):
        name = f"edge-{at}"
        until_done(yard, deaths, at, after=after, relaunched=relaunched, call=partial(yard.provision, name))
        worker = yard.worker(name)
        assert (worker.status, worker.labels) == ("active", ["disk-image-builder", "amd64"])
        assert [(found, spec.name) for found, spec in yard.host.containers.values()] == [(worker.container_id, name)]
        assert {one.id: one.name for one in yard.at_forge().runners.values()} == {worker.runner_id: name}
        assert yard.host.has_token == set()
        yard.clear(name)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("relaunched", [True, False], ids=["another-run-goes-on", "called-again"])
def test_a_replacement_killed_at_any_call_and_run_again_ends_the_same(
    yard: RunnerHarness, *, after: bool, relaunched: bool
) -> None:
    deaths = yard.mortal_calls()
    yard.provision()
    for at in range(REPLACE):
        host = f"tcp://host-{at}:2376" if at % 2 else None
        call = partial(yard.provision, labels=[f"label-{at}"], **({"runner_host": host} if host else {}))
        until_done(yard, deaths, at, after=after, relaunched=relaunched, call=call)
        [worker] = yard.workers()
        assert [found for found, _ in yard.host.containers.values()] == [worker.container_id]
        there = {one.id: one.labels for one in yard.at_forge().runners.values()}
        assert there == {worker.runner_id: (f"label-{at}",)}
        assert yard.host.has_token & {worker.container_id} == set()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("relaunched", [True, False], ids=["another-run-goes-on", "called-again"])
def test_a_termination_killed_at_any_call_and_run_again_ends_the_same(
    yard: RunnerHarness, *, after: bool, relaunched: bool
) -> None:
    deaths = yard.mortal_calls()
    for at in range(TERMINATE):
        worker_id = yard.provision(f"edge-{at}")["worker"]["id"]
        until_done(yard, deaths, at, after=after, relaunched=relaunched, call=partial(yard.terminate, worker_id))
        assert yard.worker(f"edge-{at}").status == "revoked"
        assert (yard.host.containers, yard.runners()) == ({}, [])


def test_the_calls_that_these_tests_kill_at_are_all_there_are(yard: RunnerHarness) -> None:
    deaths = yard.mortal_calls()
    deaths.set(-1, after=False)
    worker_id = yard.provision("edge-2")["worker"]["id"]
    assert deaths.count == PROVISION
    deaths.set(-1, after=False)
    yard.provision("edge-2", labels=["other"])
    assert deaths.count == REPLACE
    deaths.set(-1, after=False)
    yard.terminate(worker_id)
    assert deaths.count == TERMINATE


def until_done(
    yard: RunnerHarness, deaths: CrashPlan, at: int, *, after: bool, relaunched: bool, call: Callable[[], object]
) -> None:
    """Make a call that dies at one of its calls to forge and host, and see that it is done."""
    deaths.set(at, after=after)
    yard.goes_on = relaunched
    try:
        call()
    except Killed:
        deaths.set(-1, after=False)
        yard.world.clock.advance(minutes=5)
        call()
    assert deaths.died
