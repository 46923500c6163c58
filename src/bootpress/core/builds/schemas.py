"""What the operations on builds answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from pydantic import Field

from bootpress.core.builds.logs import strip_ansi
from bootpress.core.builds.models import Build
from bootpress.core.builds.states import BuildStatus
from bootpress.core.operation import MAX_LIMIT, Moment, OperationResponse, PageAnswer
from bootpress.core.ports import Job, RunStatus, WorkflowRun


class DispatchedAnswer(OperationResponse):
    """The run, our record of it, and the flow run that waits for it."""

    run_id: str | None
    build_id: UUID
    flow_run_id: UUID | None
    warnings: list[str]


class RunView(OperationResponse):
    """A run of a workflow."""

    id: str
    status: RunStatus
    conclusion: str | None
    event: str
    ref: str
    head_sha: str
    url: str
    created_at: Moment
    reason: str | None
    """Why it ended before anything of it was run, where the forge says that."""

    @classmethod
    def of(cls, run: WorkflowRun) -> RunView:
        """Show a run; what its author wrote is shown without control characters."""
        return cls(
            id=run.id,
            status=run.status,
            conclusion=run.conclusion,
            event=run.event,
            ref=strip_ansi(run.ref),
            head_sha=run.head_sha,
            url=run.url,
            created_at=run.created_at,
            reason=strip_ansi(run.reason) if run.reason else None,
        )


class RunList(OperationResponse):
    """Runs, newest first: at most as many as `limit` says, for the forge keeps the older ones."""

    runs: Annotated[list[RunView], Field(max_length=MAX_LIMIT)]


class JobView(OperationResponse):
    """A job of a run."""

    id: str
    name: str
    status: RunStatus
    conclusion: str | None
    runner: str | None
    started_at: Moment | None
    completed_at: Moment | None

    @classmethod
    def of(cls, job: Job) -> JobView:
        """Show a job; what its author wrote is shown without control characters."""
        return cls(
            id=job.id,
            name=strip_ansi(job.name),
            status=job.status,
            conclusion=job.conclusion,
            runner=strip_ansi(job.runner) if job.runner else None,
            started_at=job.started_at,
            completed_at=job.completed_at,
        )


class RunAnswer(OperationResponse):
    """A run and its jobs, of which the first 500 are shown."""

    run: RunView
    jobs: Annotated[list[JobView], Field(max_length=MAX_LIMIT)]

    @classmethod
    def of(cls, run: WorkflowRun, jobs: Sequence[Job]) -> RunAnswer:
        """Show a run with its jobs."""
        return cls(run=RunView.of(run), jobs=[JobView.of(job) for job in jobs[:MAX_LIMIT]])


class CancelledAnswer(OperationResponse):
    """The run as it is after it was cancelled."""

    run: RunView


class LogsAnswer(OperationResponse):
    """Lines of a log, as text."""

    logs: str


class BuildView(OperationResponse):
    """One dispatched build, and what came of it."""

    id: UUID
    node_platform_id: UUID | None
    platform_slug: str | None
    status: BuildStatus
    repo: str
    workflow: str
    ref: str
    dispatch_id: str
    run_id: str | None
    run_url: str | None
    head_sha: str | None
    flow_run_id: UUID | None
    delivery_id: UUID | None
    publication_id: UUID | None
    error_message: str | None
    created_at: Moment
    deadline_at: Moment
    finished_at: Moment | None

    @classmethod
    def of(cls, row: Build) -> BuildView:
        """Show a row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})


class BuildList(PageAnswer):
    """Builds, newest first."""

    builds: list[BuildView]
