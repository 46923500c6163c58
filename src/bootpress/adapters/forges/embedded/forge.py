"""The embedded forge: repositories in a folder of this machine, workflows run here, by bootpress' own user."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bootpress.adapters.forges.embedded.execution.enqueue import create_run, find_workflow, workflows
from bootpress.adapters.forges.embedded.execution.job_environment import user_name
from bootpress.adapters.forges.embedded.execution.runs import JobState, Runs, RunSpec, RunState
from bootpress.adapters.forges.embedded.execution.scheduler import RunScheduler
from bootpress.adapters.forges.embedded.repository import atomic_files, git, pushes
from bootpress.adapters.forges.embedded.repository.git import Bare
from bootpress.adapters.forges.embedded.repository.layout import ForgeLayout
from bootpress.adapters.forges.embedded.repository.repository_settings import RepositorySettings
from bootpress.adapters.forges.embedded.repository.value_store import check_text
from bootpress.adapters.forges.embedded.workflow import workflow, workflow_yaml
from bootpress.adapters.forges.embedded.workflow.triggers import DISPATCH
from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import Conflict, ForgeRefused, NotFound, Unsupported
from bootpress.core.ports import ForgeInfo, GitRepository, Job, RepositoryInfo, Runner, RunStatus, WorkflowRun

RUNNER: Final = "built-in"
PIECE: Final = 1 << 16


class LocalForge:
    """The port `Forge`, for a folder. Its runs are run by whichever process has a `RunScheduler` of that folder."""

    has_oidc = False
    rotates_registration_token = False

    def __init__(self, folder: Path, box: SecretCipher) -> None:
        self._places = ForgeLayout(folder)
        self._box = box
        self._runs = Runs(self._places.runs)
        self._labels: dict[GitRepository, tuple[str, tuple[str, ...]]] = {}
        """Of each repository, for the commit that was looked at last."""

    def check(self, *, owner: str | None = None) -> ForgeInfo:
        """Make sure that git and bash are here, and that the folder can be written."""
        version = git.version()
        if shutil.which("bash") is None:
            raise ForgeRefused("the embedded forge needs bash, which is not installed", hint="apt install bash")
        there = next(folder for folder in (self._places.root, *self._places.root.parents) if folder.is_dir())
        if not os.access(there, os.W_OK | os.X_OK):
            raise ForgeRefused(f"the embedded forge cannot write to {there}", hint="give its folder to this user")
        return ForgeInfo(f"embedded, git {version}", user_name(), (), actions_enabled=True)

    def find_repository(self, repository: GitRepository) -> RepositoryInfo | None:
        """Return a repository, or None."""
        bare = Bare(self._places.repository(repository))
        return self._describe(repository, bare) if bare.exists() else None

    def create_repository(self, repository: GitRepository, *, user: str | None = None) -> RepositoryInfo:
        """Create an empty repository; whatever owner is named is ours."""
        bare = Bare(self._places.repository(repository))
        if not bare.exists():
            atomic_files.make_folder(self._places.state)
            bare.create(pushes.HOOK)
        return self._describe(repository, bare)

    def enable_actions(self, repository: GitRepository) -> None:
        """Let a repository run workflows."""
        self._settings(repository).enable_actions()

    def read_file(self, repository: GitRepository, path: str, *, ref: str | None = None) -> bytes | None:
        """Return a file at a branch, tag or commit, or None."""
        bare = self._bare(repository)
        found = bare.resolve(ref)
        return bare.read(found.commit, path) if found else None

    def add_files(self, repository: GitRepository, files: Mapping[str, bytes], *, message: str) -> Sequence[str]:
        """Commit to the default branch those files that are not there; a push like any other."""
        bare = self._bare(repository)
        added, before, after = bare.add(files, message)
        if added:
            branch = git.Revision(f"refs/heads/{bare.default_branch()}", after)
            pushes.enqueue_push(self._places, repository, uuid.uuid4().hex, old=before, revision=branch)
        return added

    def list_secrets(self, repository: GitRepository) -> Sequence[str]:
        """List the names of the secrets."""
        return self._settings(repository).secrets.names()

    def set_secret(self, repository: GitRepository, name: str, value: str) -> None:
        """Create or replace a secret, encrypted."""
        self._settings(repository).secrets.set(name, value)

    def delete_secret(self, repository: GitRepository, name: str) -> None:
        """Delete a secret."""
        self._settings(repository).secrets.delete(name)

    def list_variables(self, repository: GitRepository) -> Mapping[str, str]:
        """Return the variables."""
        return self._settings(repository).variables.all()

    def set_variable(self, repository: GitRepository, name: str, value: str) -> None:
        """Create or replace a variable."""
        self._settings(repository).variables.set(name, value)

    def dispatch(
        self,
        repository: GitRepository,
        workflow: str,
        *,
        ref: str,
        inputs: Mapping[str, str],
        dispatch_id: str | None,
    ) -> str | None:
        """Enter a run of a workflow of a branch or tag, and return its id; it begins when its turn comes."""
        bare = self._bare(repository)
        if not self._settings(repository).are_actions_enabled():
            raise ForgeRefused(f"{repository} may not run workflows", hint="bootstrap_disk_image_ci lets it")
        revision = bare.resolve(ref)
        if revision is None or not revision.ref.startswith("refs/"):
            raise NotFound(
                f"{repository} has no branch or tag {ref[:100]!r} on which {workflow[:100]} could run",
                hint="push it, or name another",
            )
        source = find_workflow(bare, revision.commit, workflow)
        if source is None:
            raise NotFound(f"{repository} has no workflow {workflow[:100]!r} at {ref[:100]}")
        try:
            triggers = source.triggers()
        except Unsupported as error:
            raise ForgeRefused(f"workflow {workflow} of {repository}: {error.message}", hint=error.hint) from error
        if triggers.inputs is None:
            raise NotFound(
                f"workflow {workflow} of {repository} cannot be dispatched", hint="give it `on: workflow_dispatch`"
            )
        given = {name: check_text(value, of=f"input {name}") for name, value in triggers.given(inputs).items()}
        return create_run(self._runs, repository, source, event=DISPATCH, revision=revision, inputs=given)

    def list_runs(
        self, repository: GitRepository, *, workflow: str | None = None, limit: int = 20
    ) -> Sequence[WorkflowRun]:
        """List runs, newest first."""
        self._bare(repository)
        found: list[WorkflowRun] = []
        for run_id, spec, state in self._runs.all():
            if len(found) == limit:
                break
            if spec.repository == str(repository) and workflow in {None, spec.workflow}:
                found.append(self._run(run_id, spec, state))
        return found

    def find_run(self, repository: GitRepository, run_id: str) -> WorkflowRun | None:
        """Return a run of this repository, or None."""
        found = self._runs.find(run_id)
        if found is None or found[0].repository != str(repository):
            return None
        return self._run(run_id, *found)

    def list_jobs(self, repository: GitRepository, run_id: str) -> Sequence[Job]:
        """List the jobs of a run, in the order in which they are run."""
        _, state = self._known(repository, run_id)
        return [_job(run_id, number, job) for number, job in enumerate(state.jobs)]

    @contextmanager
    def open_log(self, repository: GitRepository, job_id: str) -> Iterator[Iterator[bytes]]:
        """Stream a job's log, as far as it has come."""
        run_id, _, number = job_id.partition("-")
        found = self._runs.find(run_id)
        is_ours = found is not None and found[0].repository == str(repository)
        if not is_ours or number not in {str(each) for each in range(len(found[1].jobs) if found else 0)}:
            raise NotFound(f"{repository} has no job {job_id[:100]!r}", hint="see get_gitea_workflow_run")
        path = self._runs.folder(run_id).log(int(number))
        try:
            file = atomic_files.open_regular(path)
        except FileNotFoundError:
            yield iter(())
            return
        with file as log:
            yield iter(lambda: log.read(PIECE), b"")

    def cancel_run(self, repository: GitRepository, run_id: str) -> None:
        """Cancel a run: at once if it waits; else its process is told, and ends what it runs within seconds."""
        _, state = self._known(repository, run_id)
        folder = self._runs.folder(run_id)
        if state.status is RunStatus.COMPLETED:
            raise Conflict(f"run {run_id} is over: {state.conclusion}")
        folder.ask_to_cancel()
        with folder.locked() as is_ours:
            if is_ours and (state := folder.state()).status is RunStatus.QUEUED:
                folder.save(state.ended("cancelled"))

    def registration_token(self, repository: GitRepository) -> str:
        """Return a token that nothing needs: the built-in runner is there, and back if it was dismissed."""
        return self._settings(repository).registration_token()

    def list_runners(self, repository: GitRepository) -> Sequence[Runner]:
        """List the built-in runner, with every label that the repository's workflows ask for."""
        bare = self._bare(repository)
        if not self._settings(repository).has_runner():
            return []
        is_busy = any(spec.repository == str(repository) for _, spec, _ in self._running())
        return [
            Runner(
                id=RUNNER,
                name=RUNNER,
                is_online=RunScheduler.is_running(self._places),
                is_busy=is_busy,
                labels=self._labels_of(repository, bare),
                last_seen_at=None,
            )
        ]

    def delete_runner(self, repository: GitRepository, runner_id: str) -> None:
        """Dismiss the built-in runner: from then on the repository's runs wait, until it is bootstrapped again."""
        if runner_id == RUNNER:
            self._settings(repository).disable_runner()

    def _bare(self, repository: GitRepository) -> Bare:
        bare = Bare(self._places.repository(repository))
        if not bare.exists():
            raise NotFound(f"there is no repository {repository}", hint="bootstrap_disk_image_ci creates it")
        return bare

    def _settings(self, repository: GitRepository) -> RepositorySettings:
        self._bare(repository)
        return RepositorySettings(self._places.settings(repository), self._box)

    def _describe(self, repository: GitRepository, bare: Bare) -> RepositoryInfo:
        return RepositoryInfo(
            repository,
            default_branch=bare.default_branch(),
            is_empty=bare.is_empty(),
            actions_enabled=self._settings(repository).are_actions_enabled(),
            may_administer=True,
            url=bare.folder.as_uri(),
        )

    def _known(self, repository: GitRepository, run_id: str) -> tuple[RunSpec, RunState]:
        found = self._runs.find(run_id)
        if found is None or found[0].repository != str(repository):
            raise NotFound(f"{repository} has no run {run_id[:100]!r}")
        return found

    def _running(self) -> Iterator[tuple[str, RunSpec, RunState]]:
        return (run for run in self._runs.all() if run[2].status is RunStatus.IN_PROGRESS)

    def _labels_of(self, repository: GitRepository, bare: Bare) -> tuple[str, ...]:
        head = bare.resolve(None)
        if head is None:
            return ()
        known = self._labels.get(repository)
        if known is None or known[0] != head.commit:
            known = self._labels[repository] = head.commit, _labels(bare, head.commit)
        return known[1]

    def _run(self, run_id: str, spec: RunSpec, state: RunState) -> WorkflowRun:
        return WorkflowRun(
            id=run_id,
            workflow=spec.workflow,
            status=state.status,
            conclusion=state.conclusion,
            event=spec.event,
            ref=spec.ref.split("/", 2)[-1],
            head_sha=spec.sha,
            url=self._runs.folder(run_id).path.as_uri(),
            created_at=spec.created,
            reason=state.reason,
        )


def _job(run_id: str, number: int, job: JobState) -> Job:
    return Job(
        id=f"{run_id}-{number}",
        run_id=run_id,
        name=job.name,
        status=job.status,
        conclusion=job.conclusion,
        runner=RUNNER if job.started_at else None,
        started_at=_moment(job.started_at),
        completed_at=_moment(job.completed_at),
    )


def _labels(bare: Bare, commit: str) -> tuple[str, ...]:
    found: list[str] = []
    for source in workflows(bare, commit):
        try:
            found += workflow.labels(workflow_yaml.load(source.content))
        except Unsupported:
            continue  # its runs say what is wrong with it
    return tuple(dict.fromkeys(found))


def _moment(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written).astimezone(UTC) if written else None
