"""Dispatching a build: what is checked, recorded, asked and started, and what becomes of each failure."""

from __future__ import annotations

from uuid import UUID

import pytest

from bootpress.core.errors import (
    BootpressError,
    Conflict,
    ForgeRefused,
    ForgeUnavailable,
    InvalidInput,
    NotFound,
    Unsupported,
)
from bootpress.core.ports import JobKind
from tests.support.build_harness import REPO, WORKFLOW, BuildHarness
from tests.support.core_harness import CoreHarness
from tests.support.fake_forge import WORKFLOWS


@pytest.fixture
def foundry(world: CoreHarness) -> BuildHarness:
    return BuildHarness(world)


def test_a_dispatch_is_a_run_a_record_an_event_and_a_flow_that_waits(world: CoreHarness, foundry: BuildHarness) -> None:
    platform_id = world.platform(build_timeout_minutes=30)
    answer = foundry.dispatch()
    [build] = world.call("system_list_disk_image_builds")["builds"]
    [launch] = world.launcher.of(JobKind.BUILD)
    assert answer == {
        "run_id": build["run_id"],
        "build_id": build["id"],
        "flow_run_id": str(launch.run_id),
        "warnings": [],
    }
    assert (launch.subject, launch.key) == (UUID(build["id"]), UUID(build["id"]))
    assert launch.run_name == f"edge @ {build['run_id']}"
    assert (build["status"], build["node_platform_id"], build["ref"]) == ("dispatched", str(platform_id), "main")
    assert (build["created_at"], build["deadline_at"]) == ("2025-06-01T12:00:00.000Z", "2025-06-01T12:30:00.000Z")
    assert (build["head_sha"], build["flow_run_id"]) == ("c0ffee", str(launch.run_id))
    assert build["run_url"].endswith(f"/runs/{build['run_id']}")
    sent = foundry.forge.repositories[REPO].inputs[build["run_id"]]
    assert sent == {"platform_slug": "edge", "dispatch_id": build["dispatch_id"]}
    [event] = world.events("build_dispatched")
    assert (event.severity, event.actor, event.node_platform_id) == ("low", "acme's operator", platform_id)
    assert event.payload["run_id"] == build["run_id"]
    assert event.payload["build_id"] == build["id"]


def test_the_repository_the_workflow_and_the_inputs_are_taken_as_the_tutorial_and_scripts_write_them(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    source = b"on: {workflow_dispatch: {inputs: {platform_slug: , fast: , jobs: }}}"
    foundry.files[WORKFLOWS + WORKFLOW] = source
    foundry.forge.add_tag(REPO, "v1")
    given = {"owner": "acme", "repo": "disk-images", "workflow": None, "workflow_file": WORKFLOW}
    answer = foundry.dispatch(
        account_id=str(world.account_id), ref="v1", inputs={"platform_slug": "x", "fast": True, "jobs": 4}, **given
    )
    sent = foundry.forge.repositories[REPO].inputs[answer["run_id"]]
    assert sent == {"platform_slug": "x", "fast": "true", "jobs": "4"}
    assert foundry.build(answer["build_id"]).ref == "v1"


def test_an_owner_beside_another_owners_repository_is_refused(foundry: BuildHarness) -> None:
    with pytest.raises(InvalidInput, match="field owner: 'umbrella' is not the owner of acme/disk-images"):
        foundry.dispatch(owner="umbrella")
    assert foundry.dispatch(owner="acme")["run_id"]


def test_a_build_of_no_known_platform_has_two_hours_and_a_warning(foundry: BuildHarness) -> None:
    answer = foundry.dispatch(inputs={"platform_slug": "nobody"})
    [warning] = answer["warnings"]
    assert "no node platform 'nobody'" in warning
    assert "120 minutes" in warning
    build = foundry.build(answer["build_id"])
    assert (build.node_platform_id, build.platform_slug) == (None, "nobody")
    assert (build.deadline_at - build.created_at).total_seconds() == 120 * 60
    [warning] = foundry.dispatch(inputs={})["warnings"]
    assert "no platform_slug is given" in warning


def test_a_workflow_that_takes_no_dispatch_id_gets_none_and_the_answer_says_so(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    world.platform()
    foundry.files[WORKFLOWS + WORKFLOW] = b"on: {workflow_dispatch: {inputs: {platform_slug: {type: string}}}}"
    answer = foundry.dispatch()
    assert foundry.forge.repositories[REPO].inputs[answer["run_id"]] == {"platform_slug": "edge"}
    [warning] = answer["warnings"]
    assert "no input dispatch_id" in warning


def test_a_workflow_below_the_other_forges_folder_is_found(world: CoreHarness, foundry: BuildHarness) -> None:
    world.platform()
    foundry.files[f".github/workflows/{WORKFLOW}"] = foundry.files.pop(WORKFLOWS + WORKFLOW)
    with pytest.raises(NotFound, match="has no workflow"):  # the fake forge looks in its own folder alone
        foundry.dispatch()
    assert foundry.forge.calls.count("dispatch") == 1
    assert foundry.builds() == []


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"inputs": {"platform_slgu": "edge"}}, InvalidInput, "unknown input 'platform_slgu'.*accepted: platform_slug"),
        ({"inputs": {"dispatch_id": "mine"}}, InvalidInput, "ours to say"),
        ({"workflow": "other.yml"}, NotFound, r"has no workflow other.yml at main.*\.gitea/workflows"),
        ({"workflow": "../x.yml"}, InvalidInput, "no workflow file"),
        ({"workflow": None}, InvalidInput, "field workflow is missing"),
        ({"workflow_file": "other.yml"}, InvalidInput, "workflow and workflow_file differ"),
        ({"repo": "acme/none"}, NotFound, "no repository acme/none .*bootstrap_disk_image_ci"),
        ({"repo": "acme"}, InvalidInput, "write owner/name"),
        ({"inputs": {"platform_slug": ["edge"]}}, InvalidInput, "field inputs"),
        ({"branch": "main"}, InvalidInput, "unknown field branch"),
    ],
)
def test_what_cannot_be_dispatched_leaves_nothing(
    world: CoreHarness, foundry: BuildHarness, fields: dict[str, object], error: type[BootpressError], said: str
) -> None:
    with pytest.raises(error, match=said):
        foundry.dispatch(**fields)
    assert "dispatch" not in foundry.forge.calls
    assert (foundry.builds(), world.events(), world.launcher.asked) == ([], [], 0)


def test_a_workflow_without_the_trigger_is_not_dispatched(foundry: BuildHarness) -> None:
    foundry.files[WORKFLOWS + WORKFLOW] = b"on: {push: {tags: ['v*']}}"
    with pytest.raises(Conflict, match="no trigger workflow_dispatch"):
        foundry.dispatch()
    assert foundry.builds() == []


def test_without_a_forge_the_answer_names_the_operation_that_connects_one(world: CoreHarness) -> None:
    with pytest.raises(Conflict, match="system_connect_forge"):
        world.call("dispatch_gitea_workflow", repo=str(REPO), workflow=WORKFLOW, inputs={})


def test_a_platforms_own_forge_is_asked(world: CoreHarness, foundry: BuildHarness) -> None:
    world.call("system_connect_forge", name="second", kind="gitea", url="https://two.example", token="t0ken")
    world.platform(forge="second")
    assert foundry.build(foundry.dispatch()["build_id"]).forge_name == "second"


def test_a_forge_that_says_no_leaves_no_build(world: CoreHarness, foundry: BuildHarness) -> None:
    world.platform()
    foundry.forge.fail_at = ["dispatch"]
    foundry.forge.fail_with = ForgeRefused("Actions are switched off", hint="switch them on")
    with pytest.raises(ForgeRefused, match="switch them on"):
        foundry.dispatch()
    assert (foundry.builds(), world.events()) == ([], [])


def test_a_dispatch_whose_answer_is_lost_is_on_record_and_not_made_again(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    world.platform()
    build = foundry.lose_answer()
    assert (build.status, build.run_id) == ("dispatched", None)
    assert foundry.forge.calls.count("dispatch") == 1
    assert world.events() == []


def test_a_forge_that_went_away_before_it_was_asked_leaves_no_build(world: CoreHarness, foundry: BuildHarness) -> None:
    world.platform()
    foundry.forge.fail_at = ["dispatch"]
    with pytest.raises(ForgeUnavailable):
        foundry.dispatch()
    assert foundry.builds() == []


def test_a_run_that_cannot_be_looked_up_yet_is_a_dispatch_all_the_same(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    world.platform()
    foundry.forge.fail_at = ["find_run"]
    answer = foundry.dispatch()
    build = foundry.build(answer["build_id"])
    assert (build.run_id, build.run_url) == (answer["run_id"], None)


def test_prefect_away_holds_up_no_dispatch(world: CoreHarness, foundry: BuildHarness) -> None:
    world.platform()
    with world.launcher.switched_off():
        answer = foundry.dispatch()
    assert answer["flow_run_id"] is None
    [warning] = answer["warnings"]
    assert "Prefect is away" in warning
    assert len(world.events("build_dispatched")) == 1


def test_builds_are_listed_by_platform_and_status_and_only_to_their_account(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    platform_id = world.platform()
    mine = foundry.dispatch()["build_id"]
    foundry.dispatch(inputs={})

    def listed(**fields: str) -> list[str]:
        return [build["id"] for build in world.call("system_list_disk_image_builds", **fields)["builds"]]

    assert len(listed()) == 2
    assert listed(node_platform_id="edge") == listed(node_platform_id=str(platform_id)) == [mine]
    assert listed(status="published") == []
    stranger = world.new_caller("other")
    assert world.call("system_list_disk_image_builds", stranger)["builds"] == []
    with pytest.raises(InvalidInput):
        listed(status="lost")


def test_runs_and_jobs_are_listed_as_the_forge_shows_them(world: CoreHarness, foundry: BuildHarness) -> None:
    first, second = (foundry.dispatch(inputs={})["run_id"] for _ in range(2))
    runs = world.call("list_gitea_workflow_runs", repo=str(REPO), limit=1)["runs"]
    assert [run["id"] for run in runs] == [second]
    assert (runs[0]["status"], runs[0]["conclusion"], runs[0]["head_sha"]) == ("queued", None, "c0ffee")
    foundry.forge.end_run(REPO, first, "failure")
    answer = world.call("get_gitea_workflow_run", repo="disk-images", owner="acme", run_id=int(first))
    assert (answer["run"]["status"], answer["run"]["conclusion"]) == ("completed", "failure")
    assert [job["name"] for job in answer["jobs"]] == ["build"]
    with pytest.raises(NotFound, match="no run 99"):
        world.call("get_gitea_workflow_run", repo=str(REPO), run_id="99")
    with pytest.raises(Unsupported, match="stop its runner"):
        world.call("cancel_gitea_workflow_run", repo=str(REPO), run_id=first)


def test_logs_are_read_without_naming_the_repository_of_a_run_that_was_dispatched(
    world: CoreHarness, foundry: BuildHarness
) -> None:
    run_id = foundry.dispatch(inputs={})["run_id"]
    foundry.forge.repositories[REPO].logs[run_id] = b"one\n\x1b[1mtwo\x1b[0m\nthree\n"
    assert world.call("get_gitea_job_logs", run_id=run_id, job_id=run_id)["logs"] == "one\ntwo\nthree\n"
    assert world.call("get_gitea_job_logs", run_id=int(run_id), job_id=int(run_id), grep="t", tail=1) == {
        "logs": "three\n"
    }
    assert world.call("get_gitea_job_logs", job_id=run_id)["logs"].startswith("one")
    with pytest.raises(NotFound, match="has no job 77"):
        world.call("get_gitea_job_logs", run_id=run_id, job_id="77")
    with pytest.raises(InvalidInput, match="repo is missing"):
        world.call("get_gitea_job_logs", world.new_caller("other"), run_id=run_id, job_id=run_id)


def test_a_run_that_was_listed_is_known_by_its_repository(world: CoreHarness, foundry: BuildHarness) -> None:
    foundry.forge.dispatch(REPO, WORKFLOW, ref="main", inputs={}, dispatch_id=None)
    with pytest.raises(InvalidInput, match=r"repo is missing.*list_gitea_workflow_runs") as caught:
        world.call("get_gitea_job_logs", run_id="1", job_id="1")
    assert caught.value.field == "repo"
    for _ in range(2):
        world.call("list_gitea_workflow_runs", repo=str(REPO))
    assert world.call("get_gitea_job_logs", run_id="1", job_id="1")["logs"] == ""
    world.clock.advance(days=31)
    world.call("list_gitea_workflow_runs", repo=str(REPO), workflow="none.yml")
    with pytest.raises(InvalidInput, match="repo is missing"):
        world.call("get_gitea_job_logs", run_id="1", job_id="1")


def test_the_job_name_of_an_outsider_steers_no_terminal(world: CoreHarness, foundry: BuildHarness) -> None:
    name = "\x1b[31mred\x1b[0m <b>\x07"
    run_id = foundry.dispatch(inputs={})["run_id"]
    found = foundry.forge.repositories[REPO]
    found.jobs[run_id] = [
        type(job)(job.id, run_id, name, job.status, None, name, None, None) for job in found.jobs[run_id]
    ]
    [job] = world.call("get_gitea_workflow_run", repo=str(REPO), run_id=run_id)["jobs"]
    assert job["name"] == job["runner"] == "red <b>␇"
