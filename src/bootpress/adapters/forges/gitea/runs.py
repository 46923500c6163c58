"""Workflow runs, their jobs and their logs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus

from bootpress.adapters.forges.gitea.part import Part
from bootpress.adapters.forges.gitea.paths import is_id, repository_path, short_ref
from bootpress.adapters.forges.gitea.schemas import JobDocument, RunDocument
from bootpress.adapters.forges.gitea.versions import Feature
from bootpress.core.errors import NotFound, Unsupported
from bootpress.core.ports import GitRepository, Job, RunStatus, WorkflowRun

STATUSES = {"in_progress": RunStatus.IN_PROGRESS, "completed": RunStatus.COMPLETED}
"""Every other word (queued, waiting, and what may come) is of a run that has not begun."""


class Runs(Part):
    """Lists runs and jobs, and streams logs."""

    def list_runs(
        self, repository: GitRepository, *, workflow: str | None = None, limit: int = 20
    ) -> Sequence[WorkflowRun]:
        """List runs, newest first."""
        found = self._api.paginate(
            repository_path(repository, "actions", "runs"),
            RunDocument,
            key="workflow_runs",
            to=f"list the runs of {repository}",
            feature=Feature.RUNS,
            size=min(limit, self._api.limits.page) if workflow is None else None,
        )
        wanted = (run for run in found if workflow in {None, split_path(run.path)[0]})
        return [self._run(repository, run) for run in itertools.islice(wanted, limit)]

    def find_run(self, repository: GitRepository, run_id: str) -> WorkflowRun | None:
        """Return a run of this repository, or None."""
        if not is_id(run_id):
            return None
        to = f"read the run {run_id} of {repository}"
        answer = self._api.request(
            "GET",
            repository_path(repository, "actions", "runs", run_id),
            to=to,
            accept={HTTPStatus.NOT_FOUND},
            feature=Feature.RUNS,
        )
        return None if answer.status == HTTPStatus.NOT_FOUND else self._run(repository, answer.read(RunDocument, to=to))

    def list_jobs(self, repository: GitRepository, run_id: str) -> Sequence[Job]:
        """List the jobs of a run; NotFound for a run that is not this repository's, of which Gitea says: no jobs."""
        jobs = [_job(job) for job in self._jobs(repository, run_id)] if is_id(run_id) else []
        if not jobs and self.find_run(repository, run_id) is None:
            raise NotFound(f"{repository} has no run {run_id[:30]}")
        return jobs

    @contextmanager
    def open_log(self, repository: GitRepository, job_id: str) -> Iterator[Iterator[bytes]]:
        """Stream a job's log, as far as it has come.

        The job is looked up first: asked for the log of one that it has not, 1.25 answers that it is broken.
        """
        job = self._find_job(repository, job_id)
        path = repository_path(repository, "actions", "jobs", job_id, "logs")
        with self._api.stream(path, to=f"read the log of job {job_id} of {repository}", feature=Feature.LOGS) as log:
            if log is None and job.status == "completed" and _moment(job.started_at):
                raise NotFound(f"Gitea has no log of job {job_id} of {repository} any more")
            yield iter(()) if log is None else log

    def cancel_run(self, repository: GitRepository, run_id: str) -> None:
        """Say that Gitea cannot, and what to do."""
        raise Unsupported(
            "no version of Gitea up to 1.27 has an API to cancel a run",
            hint=f"open {self._api.url}/{repository}/actions and cancel it there, or stop its runner",
        )

    def _find_job(self, repository: GitRepository, job_id: str) -> JobDocument:
        to = f"read the job {job_id[:30]} of {repository}"
        if is_id(job_id):
            path = repository_path(repository, "actions", "jobs", job_id)
            answer = self._api.request("GET", path, to=to, accept={HTTPStatus.NOT_FOUND}, feature=Feature.LOGS)
            if answer.status != HTTPStatus.NOT_FOUND:
                return answer.read(JobDocument, to=to)
        raise NotFound(f"{repository} has no job {job_id[:30]}")

    def _jobs(self, repository: GitRepository, run_id: str) -> Iterator[JobDocument]:
        return self._api.paginate(
            repository_path(repository, "actions", "runs", run_id, "jobs"),
            JobDocument,
            key="jobs",
            to=f"list the jobs of run {run_id} of {repository}",
            feature=Feature.RUNS,
        )

    def _run(self, repository: GitRepository, run: RunDocument) -> WorkflowRun:
        workflow, ref = split_path(run.path)
        return WorkflowRun(
            id=str(run.id),
            workflow=workflow,
            status=STATUSES.get(run.status, RunStatus.QUEUED),
            conclusion=run.conclusion or None,
            event=run.event,
            ref=short_ref(ref),
            head_sha=run.head_sha,
            url=run.html_url,
            created_at=_moment(run.started_at) or self._created_at(repository, run),
        )

    def _created_at(self, repository: GitRepository, run: RunDocument) -> datetime:
        """Return when a run that has not begun was created: its jobs know, and it does not say."""
        first = next(self._jobs(repository, str(run.id)), None)
        return first.created_at if first else _moment(run.completed_at) or datetime.now(UTC)


def split_path(path: str) -> tuple[str, str]:
    """Return the file of a run's workflow and its full ref."""
    workflow, _, ref = path.partition("@")
    return workflow, ref


def _job(job: JobDocument) -> Job:
    return Job(
        id=str(job.id),
        run_id=str(job.run_id),
        name=job.name,
        status=STATUSES.get(job.status, RunStatus.QUEUED),
        conclusion=job.conclusion or None,
        runner=job.runner_name or None,
        started_at=_moment(job.started_at),
        completed_at=_moment(job.completed_at),
    )


def _moment(stated: datetime) -> datetime | None:
    """Return a time; None for the epoch, and for Go's year 1: they stand for what has not come."""
    aware = stated if stated.tzinfo else stated.replace(tzinfo=UTC)
    return aware if aware.year > 1970 else None  # noqa: PLR2004 - the epoch
