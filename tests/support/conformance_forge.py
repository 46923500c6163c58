"""What everything that calls itself a Forge has in common: real Gitea, the embedded one and the fake pass these tests.

A module that tests an implementation derives a class from `ForgeConformance` and has a fixture `site`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from bootpress.core.errors import ForgeRefused, NotFound, Unsupported
from bootpress.core.ports import Forge, GitRepository, Job, RunStatus, WorkflowRun

FILE = "build.yml"
PATH = f".gitea/workflows/{FILE}"
OTHER = "other.yml"
MARKUP = "build <b>&amp;</b>"
SAYS = "said by the job"
WORKFLOW = f"""on:
  workflow_dispatch:
    inputs:
      dispatch_id: {{type: string}}
jobs:
  build:
    name: {MARKUP}
    runs-on: disk-image-builder
    steps:
      - run: echo {SAYS}
"""


class ForgeUnderTest(Protocol):
    """A forge, the name of a repository that is not there yet, and what happens at a forge without our doing."""

    forge: Forge
    repository: GitRepository
    cancels_runs: bool

    def name_another(self) -> GitRepository:
        """Return the name of another repository that is not there yet."""

    def add_tag(self, repository: GitRepository, name: str) -> None:
        """Tag the newest commit."""

    def disable_actions(self, repository: GitRepository) -> None:
        """Let a repository run no workflows, as somebody may do in its settings."""

    def inputs_of(self, repository: GitRepository, run_id: str) -> Mapping[str, str]:
        """Return what a run was dispatched with."""

    def run_jobs(self, repository: GitRepository) -> None:
        """Let a runner take every job that waits, until all have ended."""


def begin(site: ForgeUnderTest, *, workflow: str = WORKFLOW) -> GitRepository:
    """Create the repository, with two workflows."""
    site.forge.create_repository(site.repository)
    files = {PATH: workflow.encode(), f".gitea/workflows/{OTHER}": workflow.encode()}
    site.forge.add_files(site.repository, files, message="Begin")
    return site.repository


def dispatch(site: ForgeUnderTest, *, workflow: str = FILE, ref: str = "main", dispatch_id: str = "d-1") -> str:
    """Dispatch a workflow, which must say the run's id."""
    run_id = site.forge.dispatch(
        site.repository, workflow, ref=ref, inputs={"dispatch_id": dispatch_id}, dispatch_id=dispatch_id
    )
    assert run_id is not None
    return run_id


def run(site: ForgeUnderTest, run_id: str) -> WorkflowRun:
    """Return a run that is there."""
    found = site.forge.find_run(site.repository, run_id)
    assert found is not None
    return found


def read_log(site: ForgeUnderTest, job: Job) -> bytes:
    """Read the whole log of a job."""
    with site.forge.open_log(site.repository, job.id) as pieces:
        return b"".join(pieces)


def at_once(calls: list[Callable[[], None]]) -> None:
    """Make calls, each on a thread of its own; raise what one raises."""
    failures: list[BaseException] = []

    def guarded(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


class ForgeConformance:
    """The tests; `site` is new for each."""

    def test_it_says_its_version_and_whose_token_ours_is(self, site: ForgeUnderTest) -> None:
        info = site.forge.check()
        assert info.version
        assert info.user
        assert info.actions_enabled in {True, None}

    def test_a_repository_that_is_not_there_is_none_and_what_is_asked_of_it_is_not_found(
        self, site: ForgeUnderTest
    ) -> None:
        forge, absent = site.forge, site.repository
        assert forge.find_repository(absent) is None
        calls: list[Callable[[], object]] = [
            lambda: forge.enable_actions(absent),
            lambda: forge.read_file(absent, "README.md"),
            lambda: forge.add_files(absent, {"a": b"1"}, message="Add"),
            lambda: forge.list_secrets(absent),
            lambda: forge.set_secret(absent, "A", "1"),
            lambda: forge.list_variables(absent),
            lambda: forge.set_variable(absent, "A", "1"),
            lambda: forge.dispatch(absent, FILE, ref="main", inputs={}, dispatch_id=None),
            lambda: forge.list_runs(absent),
            lambda: forge.list_jobs(absent, "1"),
            lambda: forge.registration_token(absent),
            lambda: forge.list_runners(absent),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                call()

    def test_a_created_repository_is_empty_and_ours_and_counts_as_created_again(self, site: ForgeUnderTest) -> None:
        created = site.forge.create_repository(site.repository)
        assert created.repository == site.repository
        assert created.default_branch == "main"
        assert (created.is_empty, created.actions_enabled, created.may_administer) == (True, True, True)
        assert created.url
        assert site.forge.create_repository(site.repository) == created
        assert site.forge.find_repository(site.repository) == created
        site.forge.add_files(site.repository, {"a": b"1"}, message="Add")
        again = site.forge.create_repository(site.repository)
        assert not again.is_empty
        assert site.forge.read_file(site.repository, "a") == b"1"

    def test_files_are_added_and_none_is_overwritten(self, site: ForgeUnderTest) -> None:
        forge, repository = site.forge, site.repository
        forge.create_repository(repository)
        assert forge.add_files(repository, {}, message="Nothing") == []
        binary = bytes(range(256)) * 40
        first = {"build.sh": b"#!/bin/sh\n", "kernel/a file.bin": binary, ".gitea/workflows/x.yml": b"on: push\n"}
        assert sorted(forge.add_files(repository, first, message="Begin")) == sorted(first)
        second = {"build.sh": b"other", "kernel/empty": b""}
        assert forge.add_files(repository, second, message="More") == ["kernel/empty"]
        assert forge.add_files(repository, second, message="Again") == []
        for path, content in {**second, **first}.items():
            assert forge.read_file(repository, path) == content

    def test_a_file_is_read_at_a_branch_a_tag_or_a_commit(self, site: ForgeUnderTest) -> None:
        forge, repository = site.forge, begin(site)
        forge.add_files(repository, {"early": b"1"}, message="Early")
        site.add_tag(repository, "v1")
        commit = run(site, dispatch(site, ref="v1")).head_sha
        forge.add_files(repository, {"late": b"2"}, message="Late")
        for ref in ("v1", commit):
            assert forge.read_file(repository, "early", ref=ref) == b"1"
            assert forge.read_file(repository, "late", ref=ref) is None
        assert forge.read_file(repository, "late", ref="main") == b"2"
        assert forge.read_file(repository, "late") == b"2"

    def test_a_file_that_is_not_there_is_none(self, site: ForgeUnderTest) -> None:
        forge, repository = site.forge, site.repository
        forge.create_repository(repository)
        assert forge.read_file(repository, "a") is None
        forge.add_files(repository, {"folder/a": b"1"}, message="Add")
        for path, ref in (("b", None), ("folder", None), ("folder/b", None), ("folder/a", "nowhere")):
            assert forge.read_file(repository, path, ref=ref) is None

    def test_secrets_are_set_replaced_and_deleted_and_only_their_names_are_told(self, site: ForgeUnderTest) -> None:
        forge, repository = site.forge, site.repository
        forge.create_repository(repository)
        for name, value in (("ONE", "first value"), ("TWO", "-----BEGIN\nlines\n"), ("ONE", "second value")):
            forge.set_secret(repository, name, value)
        assert sorted(forge.list_secrets(repository)) == ["ONE", "TWO"]
        forge.delete_secret(repository, "ONE")
        forge.delete_secret(repository, "ONE")
        assert forge.list_secrets(repository) == ["TWO"]

    def test_variables_are_set_and_replaced(self, site: ForgeUnderTest) -> None:
        forge, repository = site.forge, site.repository
        forge.create_repository(repository)
        for name, value in (("ONE", "first"), ("TWO", "https://bootpress.example/x?y=1"), ("ONE", "second")):
            forge.set_variable(repository, name, value)
        assert forge.list_variables(repository) == {"ONE": "second", "TWO": "https://bootpress.example/x?y=1"}

    def test_a_dispatched_run_is_found_and_listed(self, site: ForgeUnderTest) -> None:
        repository = begin(site)
        before = datetime.now(UTC) - timedelta(seconds=2)  # forges count whole seconds
        run_id = dispatch(site)
        found = run(site, run_id)
        assert found.id == run_id
        assert (found.workflow, found.event, found.ref) == (FILE, "workflow_dispatch", "main")
        assert (found.status, found.conclusion) == (RunStatus.QUEUED, None)
        assert re.fullmatch(r"[0-9a-f]{6,40}", found.head_sha)
        assert found.url
        assert before <= found.created_at <= datetime.now(UTC)
        assert site.forge.list_runs(repository) == [found]
        assert site.inputs_of(repository, run_id)["dispatch_id"] == "d-1"

    def test_runs_are_listed_newest_first_and_by_workflow(self, site: ForgeUnderTest) -> None:
        repository = begin(site)
        ids = [dispatch(site, workflow=name) for name in (FILE, OTHER, FILE)]
        assert [found.id for found in site.forge.list_runs(repository)] == ids[::-1]
        assert [found.id for found in site.forge.list_runs(repository, limit=2)] == [ids[2], ids[1]]
        assert [found.id for found in site.forge.list_runs(repository, workflow=FILE)] == [ids[2], ids[0]]
        assert [found.id for found in site.forge.list_runs(repository, workflow=FILE, limit=1)] == [ids[2]]
        assert site.forge.list_runs(repository, workflow="none.yml") == []

    def test_a_tag_is_dispatched_by_its_name(self, site: ForgeUnderTest) -> None:
        repository = begin(site)
        site.add_tag(repository, "v1.0")
        assert run(site, dispatch(site, ref="v1.0")).ref == "v1.0"

    def test_a_workflow_or_a_ref_that_is_not_there_is_not_dispatched(self, site: ForgeUnderTest) -> None:
        site.forge.create_repository(site.repository)
        with pytest.raises(NotFound):
            dispatch(site)
        repository = begin(site)
        with pytest.raises(NotFound, match=r"absent\.yml"):
            dispatch(site, workflow="absent.yml")
        with pytest.raises(NotFound, match="v9"):
            dispatch(site, ref="v9")
        assert site.forge.list_runs(repository) == []

    @pytest.mark.parametrize("title", ["", "run-name: image ${{ inputs.dispatch_id }}\n"], ids=["untitled", "titled"])
    def test_four_dispatches_at_once_get_their_own_runs(self, site: ForgeUnderTest, title: str) -> None:
        repository = begin(site, workflow=title + WORKFLOW)
        found: dict[str, str] = {}

        def one(dispatch_id: str) -> None:
            found[dispatch_id] = dispatch(site, dispatch_id=dispatch_id)

        at_once([lambda name=f"d-{number}": one(name) for number in range(4)])  # type: ignore[misc]  # mypy infers no default
        assert len(set(found.values())) == 4
        for dispatch_id, run_id in found.items():
            assert site.inputs_of(repository, run_id)["dispatch_id"] == dispatch_id

    def test_a_run_of_another_repository_is_nobodys(self, site: ForgeUnderTest) -> None:
        begin(site)
        run_id = dispatch(site)
        job = site.forge.list_jobs(site.repository, run_id)[0]
        another = site.name_another()
        site.forge.create_repository(another)
        assert site.forge.find_run(another, run_id) is None
        with pytest.raises(NotFound):
            site.forge.list_jobs(another, run_id)
        with pytest.raises(NotFound), site.forge.open_log(another, job.id):
            pass

    def test_odd_ids_are_ids_of_nothing(self, site: ForgeUnderTest) -> None:
        repository = begin(site)
        dispatch(site)
        for odd in ("0", "", "-1", "x", "../1", "1/jobs", "9" * 18, "9" * 40, "१"):
            assert site.forge.find_run(repository, odd) is None
            with pytest.raises(NotFound):
                site.forge.list_jobs(repository, odd)
            with pytest.raises(NotFound), site.forge.open_log(repository, odd):
                pass
            site.forge.delete_runner(repository, odd)

    def test_a_job_that_waits_has_an_empty_log_and_its_name_as_it_is_written(self, site: ForgeUnderTest) -> None:
        repository = begin(site)
        run_id = dispatch(site)
        (job,) = site.forge.list_jobs(repository, run_id)
        assert (job.run_id, job.name) == (run_id, MARKUP)
        assert (job.status, job.conclusion, job.runner) == (RunStatus.QUEUED, None, None)
        assert (job.started_at, job.completed_at) == (None, None)
        assert read_log(site, job) == b""

    def test_a_run_that_ended_says_how_and_when_and_what_its_job_said(self, site: ForgeUnderTest) -> None:
        repository = begin(site)
        run_id = dispatch(site)
        site.run_jobs(repository)
        ended = run(site, run_id)
        assert (ended.status, ended.conclusion) == (RunStatus.COMPLETED, "success")
        (job,) = site.forge.list_jobs(repository, run_id)
        assert (job.status, job.conclusion) == (RunStatus.COMPLETED, "success")
        assert job.runner
        assert job.started_at is not None
        assert job.completed_at is not None
        assert job.started_at <= job.completed_at
        assert SAYS.encode() in read_log(site, job)
        with site.forge.open_log(repository, job.id) as pieces:
            assert next(pieces)  # and no more: who has enough leaves

    def test_a_run_is_cancelled_or_the_forge_says_what_to_do_instead(self, site: ForgeUnderTest) -> None:
        repository = begin(site)
        run_id = dispatch(site)
        if site.cancels_runs:
            site.forge.cancel_run(repository, run_id)
            assert run(site, run_id).conclusion == "cancelled"
        else:
            with pytest.raises(Unsupported) as refused:
                site.forge.cancel_run(repository, run_id)
            assert refused.value.hint

    def test_a_repository_whose_actions_are_disabled_runs_nothing_until_they_are_enabled(
        self, site: ForgeUnderTest
    ) -> None:
        repository = begin(site)
        site.disable_actions(repository)
        found = site.forge.find_repository(repository)
        assert found is not None
        assert not found.actions_enabled
        with pytest.raises(ForgeRefused) as refused:
            dispatch(site)
        assert refused.value.hint
        site.forge.enable_actions(repository)
        site.forge.enable_actions(repository)
        assert dispatch(site)

    def test_a_runner_registers_with_the_token_of_its_repository(self, site: ForgeUnderTest) -> None:
        forge, repository = site.forge, begin(site)
        token = forge.registration_token(repository)
        assert token
        assert (forge.registration_token(repository) == token) is not forge.rotates_registration_token
        dispatch(site)
        site.run_jobs(repository)
        (runner,) = forge.list_runners(repository)
        assert runner.name
        assert "disk-image-builder" in runner.labels
        assert isinstance(runner.is_online, bool)
        forge.delete_runner(repository, runner.id)
        forge.delete_runner(repository, runner.id)
        assert forge.list_runners(repository) == []
