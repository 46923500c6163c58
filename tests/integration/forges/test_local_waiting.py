"""Runs that wait on the embedded forge hold up no other repository, and do not wait for ever."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from bootpress.adapters.forges.embedded import ForgeLayout, LocalForge, RunLimits, RunScheduler, RunSchedulers
from bootpress.adapters.forges.embedded.execution.runs import (
    KEPT_OF_EACH,
    MAX_RUNS,
    MAX_WAITING,
    MAX_WAITING_OF_EACH,
    MAX_WAITING_TOGETHER,
    JobState,
    Runs,
    RunState,
)
from bootpress.adapters.forges.factory import ConnectionForgeFactory
from bootpress.core.builds.reconciler import reconcile_builds
from bootpress.core.connections.service import open_forge
from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import ForgeUnavailable
from bootpress.core.ports import GitRepository, RunStatus
from bootpress.settings import Settings
from bootpress.wiring import create_run_schedulers
from tests.support.core_harness import CoreHarness
from tests.support.embedded_forge import DISPATCHED, FILE, NO_DOCKER, EmbeddedForgeHarness, eventually, kept

IDLE, BUSY, THIRD = (GitRepository("acme", name) for name in ("idle", "busy", "third"))
SECOND = 1 / 3600
"""In hours."""


def workflow(script: str = "true") -> dict[str, bytes]:
    return {
        f".gitea/workflows/{FILE}": f"{DISPATCHED}jobs: {{one: {{runs-on: x, steps: [{{run: '{script}'}}]}}}}".encode()
    }


def dispatch(forge: LocalForge, repository: GitRepository) -> str:
    run_id = forge.dispatch(repository, FILE, ref="main", inputs={}, dispatch_id=None)
    assert run_id is not None
    return run_id


def fill(forge: LocalForge, *repositories: GitRepository, script: str = "true") -> None:
    for repository in repositories:
        forge.create_repository(repository)
        forge.add_files(repository, workflow(script), message="Begin")


def copy_runs(places: ForgeLayout, run_id: str, repositories: list[GitRepository], **state: str) -> None:
    """Write down further runs like one that is there: to have git make each would take minutes."""
    spec = json.loads((places.runs / run_id / "run.json").read_bytes())
    found = json.loads((places.runs / run_id / "state.json").read_bytes()) | state
    for number, repository in enumerate(repositories, start=int(run_id) + 1):
        folder = places.runs / str(number)
        folder.mkdir()
        (folder / "lock").touch()
        (folder / "workflow.yml").write_bytes((places.runs / run_id / "workflow.yml").read_bytes())
        (folder / "run.json").write_text(json.dumps(spec | {"repository": str(repository)}))
        (folder / "state.json").write_text(json.dumps(found))


def has(forge: LocalForge, repository: GitRepository, run_id: str, status: RunStatus) -> bool:
    run = forge.find_run(repository, run_id)
    return run is not None and run.status is status


def is_over(forge: LocalForge, repository: GitRepository, run_id: str) -> bool:
    return has(forge, repository, run_id, RunStatus.COMPLETED)


@pytest.fixture
def embedded(tmp_path: Path) -> EmbeddedForgeHarness:
    embedded = EmbeddedForgeHarness(tmp_path / "forge")
    fill(embedded.forge, IDLE, BUSY, THIRD)
    embedded.forge.delete_runner(IDLE, "built-in")
    return embedded


def test_a_full_repository_is_refused_by_name_and_no_other(embedded: EmbeddedForgeHarness) -> None:
    first = dispatch(embedded.forge, IDLE)
    copy_runs(embedded.places, first, [IDLE] * (MAX_WAITING - 1))
    with pytest.raises(ForgeUnavailable, match=f"{MAX_WAITING} runs of {IDLE} wait already"):
        dispatch(embedded.forge, IDLE)
    with kept(embedded):
        for _ in range(3):
            run_id = dispatch(embedded.forge, BUSY)
            eventually(partial(is_over, embedded.forge, BUSY, run_id), what="the run of the other repository")
    embedded.forge.cancel_run(IDLE, first)
    dispatch(embedded.forge, IDLE)


def test_many_full_repositories_leave_each_other_one_its_share(embedded: EmbeddedForgeHarness) -> None:
    others = [GitRepository("acme", f"full-{number}") for number in range(MAX_WAITING_TOGETHER // MAX_WAITING)]
    copy_runs(embedded.places, dispatch(embedded.forge, IDLE), others * MAX_WAITING)
    for _ in range(MAX_WAITING_OF_EACH):
        dispatch(embedded.forge, THIRD)
    with pytest.raises(ForgeUnavailable, match=f"{MAX_WAITING_OF_EACH} runs of {THIRD} wait already"):
        dispatch(embedded.forge, THIRD)
    run_id = dispatch(embedded.forge, BUSY)
    for each in others:  # none of them is served, as IDLE is not
        embedded.places.settings(each).mkdir(parents=True)
        (embedded.places.settings(each) / "runner_dismissed").touch()
    with kept(embedded):
        eventually(partial(is_over, embedded.forge, BUSY, run_id), what="the run of another repository")


def test_repositories_take_turns(embedded: EmbeddedForgeHarness, tmp_path: Path) -> None:
    """Six runs of one repository wait when another gets its first."""
    order = tmp_path / "order"
    for repository in (BUSY, THIRD):
        name = GitRepository("acme", f"{repository.name}-writes")
        fill(embedded.forge, name, script=f"echo {repository.name} >> {order}; sleep 0.2")
        for _ in range(6):
            last = name, dispatch(embedded.forge, name)
    with kept(embedded):
        eventually(lambda: is_over(embedded.forge, *last), what="the last run")
    written = order.read_text().split()
    assert all(written[: 2 * n].count("third") in {n - 1, n, n + 1} for n in range(1, 6)), written


def test_a_repository_whose_runs_cannot_begin_holds_up_no_other(embedded: EmbeddedForgeHarness) -> None:
    stuck = dispatch(embedded.forge, THIRD)
    secrets = embedded.places.settings(THIRD) / "secrets"
    (secrets / "NO_FILE").mkdir(parents=True)  # what cannot be read
    run_id = dispatch(embedded.forge, BUSY)
    with kept(embedded):
        eventually(partial(is_over, embedded.forge, BUSY, run_id), what="the run of the other repository")
        assert not is_over(embedded.forge, THIRD, stuck)
        (secrets / "NO_FILE").rmdir()
        eventually(partial(is_over, embedded.forge, THIRD, stuck), what="the run that could not begin")


def test_the_end_of_waiting_says_why_in_the_run_and_its_log(embedded: EmbeddedForgeHarness) -> None:
    waiting = [dispatch(embedded.forge, IDLE) for _ in range(3)]
    with kept(embedded, bounds=RunLimits(wait_hours_without_worker=SECOND)):
        for run_id in waiting:
            eventually(partial(is_over, embedded.forge, IDLE, run_id), what="the end of waiting")
            run = embedded.forge.find_run(IDLE, run_id)
            assert run is not None
            assert run.conclusion == "failure"
            assert "no worker took it in" in str(run.reason)
            with embedded.forge.open_log(IDLE, f"{run_id}-0") as pieces:
                assert b"nothing was run: no worker took it in" in b"".join(pieces)
        embedded.forge.registration_token(IDLE)
        run_id = dispatch(embedded.forge, IDLE)
        eventually(partial(is_over, embedded.forge, IDLE, run_id), what="a run with a worker")
        again = embedded.forge.find_run(IDLE, run_id)
        assert again is not None
        assert (again.conclusion, again.reason) == ("success", None)


def test_a_run_that_cannot_be_ended_holds_up_no_other(embedded: EmbeddedForgeHarness) -> None:
    stuck = dispatch(embedded.forge, IDLE)
    logs = embedded.places.runs / stuck / "logs"
    logs.write_text("a file where a folder is to be")
    with kept(embedded, bounds=RunLimits(wait_hours_without_worker=SECOND)):
        time.sleep(2)  # its time to wait is over
        run_id = dispatch(embedded.forge, BUSY)
        eventually(partial(is_over, embedded.forge, BUSY, run_id), what="the run of the other repository")
        assert not is_over(embedded.forge, IDLE, stuck)
        logs.unlink()
        eventually(partial(is_over, embedded.forge, IDLE, stuck), what="the end of waiting")


def test_a_run_that_could_not_be_read_once_takes_its_turn_later(embedded: EmbeddedForgeHarness) -> None:
    run_id = dispatch(embedded.forge, BUSY)
    state, aside = (embedded.places.runs / run_id / name for name in ("state.json", "aside"))
    state.rename(aside)
    state.mkdir()  # what cannot be read
    with kept(embedded):
        other = dispatch(embedded.forge, THIRD)
        eventually(partial(is_over, embedded.forge, THIRD, other), what="the run of another repository")
        state.rmdir()
        aside.rename(state)
        eventually(partial(is_over, embedded.forge, BUSY, run_id), what="the run that can be read again")


def test_a_run_whose_state_cannot_be_read_keeps_its_place_until_it_ends(
    embedded: EmbeddedForgeHarness, tmp_path: Path
) -> None:
    go, begun, long = tmp_path / "go", tmp_path / "begun", GitRepository("acme", "long")
    fill(embedded.forge, long, script=f"echo >> {begun}; until test -e {go}; do sleep 0.1; done")
    with kept(embedded):
        running = [dispatch(embedded.forge, long) for _ in range(2)]
        eventually(lambda: begun.exists() and begun.read_text() == "\n\n", what="both run")
        (embedded.places.runs / running[0] / "state.json").write_text("{")  # until it ends
        run_id = dispatch(embedded.forge, BUSY)
        time.sleep(2)  # for ten looks
        assert has(embedded.forge, BUSY, run_id, RunStatus.QUEUED)
        go.touch()
        for repository, each in ((BUSY, run_id), *((long, one) for one in running)):
            eventually(partial(is_over, embedded.forge, repository, each), what=f"the end of {each}")


def test_a_run_whose_state_cannot_be_read_does_not_keep_the_forge_from_stopping(
    embedded: EmbeddedForgeHarness, tmp_path: Path
) -> None:
    begun, long = tmp_path / "begun", GitRepository("acme", "long")
    fill(embedded.forge, long, script=f"echo $PPID > {begun}; sleep 300")
    with kept(embedded):
        run_id = dispatch(embedded.forge, long)
        runner = eventually(lambda: begun.exists() and begun.read_text().strip(), what="it runs")
        (embedded.places.runs / run_id / "state.json").write_text("{")
        os.kill(int(runner), signal.SIGKILL)  # so that it cannot write its state any more
    other = dispatch(embedded.forge, BUSY)
    with kept(embedded):
        eventually(partial(is_over, embedded.forge, BUSY, other), what="a run after the next start")


def test_a_run_whose_turn_does_not_come_is_ended_too(embedded: EmbeddedForgeHarness, tmp_path: Path) -> None:
    go, long = tmp_path / "go", GitRepository("acme", "long")
    fill(embedded.forge, long, script=f"until test -e {go}; do sleep 0.1; done")
    with kept(embedded):
        running = [dispatch(embedded.forge, long) for _ in range(2)]
        for run_id in running:
            eventually(partial(has, embedded.forge, long, run_id, RunStatus.IN_PROGRESS), what="it runs")
        runs = Runs(embedded.places.runs)
        spec, state = runs.folder(running[0]).spec(), JobState("one")
        yesterday = datetime.now(UTC) - timedelta(hours=25)
        given = replace(spec, repository=str(BUSY), created_at=yesterday.isoformat())
        late = runs.create(given, runs.folder(running[0]).workflow, RunState(RunStatus.QUEUED, None, [state]))
        eventually(partial(is_over, embedded.forge, BUSY, late), what="the end of waiting")
        run = embedded.forge.find_run(BUSY, late)
        assert run is not None
        assert "its turn did not come in 24 hours" in str(run.reason)
        go.touch()
        for run_id in running:
            eventually(partial(is_over, embedded.forge, long, run_id), what="the long ones")


def test_what_only_waits_is_not_read_again(embedded: EmbeddedForgeHarness, opened: list[str]) -> None:
    """Waiting costs nothing, however many do."""
    copy_runs(embedded.places, dispatch(embedded.forge, IDLE), [IDLE] * (MAX_WAITING - 1))
    with kept(embedded):
        run_id = dispatch(embedded.forge, BUSY)
        eventually(partial(is_over, embedded.forge, BUSY, run_id), what="everything has been looked at")
        opened.clear()
        time.sleep(2)
        waiting = f"{embedded.places.runs}/{int(run_id) - 1}/"
        assert [path for path in opened if path.startswith(waiting)] == []  # one of a hundred that are alike


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The paths that this process opens meanwhile."""
    found: list[str] = []
    is_on = True

    def note(event: str, given: tuple[object, ...]) -> None:
        if is_on and event == "open":
            found.append(str(given[0]))

    sys.addaudithook(note)
    yield found
    is_on = False


def test_a_push_to_a_full_repository_is_not_looked_at_all_the_time(
    embedded: EmbeddedForgeHarness, caplog: pytest.LogCaptureFixture
) -> None:
    pushed = {".gitea/workflows/push.yml": b"on: push\njobs: {one: {runs-on: x, steps: [{run: 'true'}]}}\n"}
    copy_runs(embedded.places, dispatch(embedded.forge, IDLE), [IDLE] * (MAX_WAITING - 1))
    with caplog.at_level(logging.WARNING), kept(embedded):
        eventually(lambda: not list(embedded.places.pushes.iterdir()), what="what was pushed before")
        embedded.forge.add_files(IDLE, pushed, message="Push")
        embedded.forge.add_files(BUSY, pushed, message="Push")
        eventually(lambda: [run.event for run in embedded.forge.list_runs(BUSY)] == ["push"], what="the other push")
        assert len(list(embedded.places.pushes.iterdir())) == 1
        embedded.forge.cancel_run(IDLE, embedded.forge.list_runs(IDLE)[0].id)
        eventually(lambda: not list(embedded.places.pushes.iterdir()), what="the push is entered", seconds=60)
    assert caplog.messages == []


def test_runs_of_a_busy_repository_do_not_push_out_those_of_another(embedded: EmbeddedForgeHarness) -> None:
    first = dispatch(embedded.forge, THIRD)
    embedded.forge.cancel_run(THIRD, first)
    ended = {"status": "completed", "conclusion": "success"}
    copy_runs(embedded.places, first, [BUSY] * (MAX_RUNS + KEPT_OF_EACH), **ended)
    dispatch(embedded.forge, BUSY)
    assert is_over(embedded.forge, THIRD, first)
    assert len(Runs(embedded.places.runs).ids()) == MAX_RUNS + 1


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CoreHarness]:
    world = CoreHarness(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield world
    world.catalog.close()


def test_a_build_that_no_worker_took_fails_with_that_reason(world: CoreHarness, tmp_path: Path) -> None:
    box, folder = SecretCipher(world.keys), tmp_path / "forge"
    world.context = replace(world.context, forges=ConnectionForgeFactory(local_folder=folder, box=box))
    world.call("system_connect_forge", kind="local")
    forge = open_forge(world.context, world.caller.account_id)[1]
    assert isinstance(forge, LocalForge)
    fill(forge, IDLE)
    forge.delete_runner(IDLE, "built-in")
    build_id = world.call("dispatch_gitea_workflow", repo=str(IDLE), workflow=FILE)["build_id"]
    run_id = world.call("list_gitea_workflow_runs", repo=str(IDLE))["runs"][0]["id"]
    show = partial(world.call, "get_gitea_workflow_run", repo=str(IDLE), run_id=run_id)
    assert show()["run"]["status"] == "queued"
    bounds = RunLimits(wait_hours_without_worker=SECOND)
    with RunSchedulers(folder, partial(RunScheduler, box=box, docker=NO_DOCKER, bounds=bounds)):
        eventually(lambda: show()["run"]["status"] == "completed", what="the end of waiting")
    assert "no worker took it in" in show()["run"]["reason"]
    logs = world.call("get_gitea_job_logs", repo=str(IDLE), job_id=show()["jobs"][0]["id"])["logs"]
    assert "no worker took it in" in logs
    world.clock.advance(minutes=2)
    assert reconcile_builds(world.context).ended == 1
    [build] = world.call("system_list_disk_image_builds")["builds"]
    assert (build["id"], build["status"]) == (str(build_id), "failed")
    assert "no worker took it in" in build["error_message"]
    [event] = world.events("build_stuck")
    assert "no worker took it in" in event.payload["error_message"]


def test_the_settings_of_waiting_reach_the_keepers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOTPRESS_HOME", str(tmp_path))
    monkeypatch.setenv("BOOTPRESS_RUN_WAIT_HOURS_WITHOUT_WORKER", str(SECOND))
    settings = Settings()
    account = tmp_path / "forge" / "3f0f1c6e-98b5-4d0f-8f4e-0f4b5b1c2d3e"
    forge = LocalForge(account, SecretCipher(settings.encryption_keys))
    fill(forge, IDLE)
    forge.delete_runner(IDLE, "built-in")
    run_id = dispatch(forge, IDLE)
    with create_run_schedulers(settings):
        eventually(partial(is_over, forge, IDLE, run_id), what="the end of waiting")
    begun = datetime.now(UTC)
    assert timedelta(0) <= begun - Runs(account / ".state" / "runs").folder(run_id).spec().created
