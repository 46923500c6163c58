"""Public operations on builds, and on the workflow runs of the forge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from bootpress.core.builds import dispatching, logs, service
from bootpress.core.builds.declarations import MAX_INPUTS, MAX_VALUE
from bootpress.core.builds.models import Build
from bootpress.core.builds.states import BuildStatus
from bootpress.core.context import Caller, Context
from bootpress.core.errors import InvalidInput
from bootpress.core.operations import Answer, Limit, Moment, Request, Text, Whole, operation
from bootpress.core.ports import GitRepository, Job, RunStatus, WorkflowRun
from bootpress.core.texts import refuse_unstorable

READ = "system.disk_image_builds.read"
MANAGE = "system.disk_image_builds.manage"
MAX_TAIL = 100_000


def _as_text(value: object) -> object:
    # Scripts pass the number that they read from an answer of Gitea's.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Identifier = Annotated[
    str, BeforeValidator(refuse_unstorable), BeforeValidator(_as_text), Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
]
"""A run's or job's id, as a text or a number."""
Value = Annotated[str, BeforeValidator(refuse_unstorable), Field(max_length=MAX_VALUE)] | StrictBool | int | float


class OfRepository(Request):
    """Which repository: `owner/name`, or both apart."""

    repo: Text
    owner: Text | None = None

    @property
    def repository(self) -> GitRepository:
        """Return the repository; InvalidInput where its name cannot be one."""
        return _repository(self.repo, self.owner)


class DispatchWorkflow(OfRepository):
    """Which workflow to start, where, and with what."""

    workflow: Annotated[Text | None, Field(description="File name of the workflow, such as build-disk-image.yml")] = (
        None
    )
    workflow_file: Annotated[Text | None, Field(description="The same as workflow")] = None
    ref: Annotated[Text | None, Field(description="Branch or tag; the default branch if left away")] = None
    inputs: Annotated[
        dict[Annotated[Text, Field(max_length=100)], Value], Field(default_factory=dict, max_length=MAX_INPUTS)
    ]

    @model_validator(mode="after")
    def _one_workflow(self) -> Self:
        if (self.workflow is None) == (self.workflow_file is None) and self.workflow != self.workflow_file:
            raise ValueError("workflow and workflow_file differ")
        return self

    @property
    def file(self) -> str:
        """Return the workflow's file name; InvalidInput where none is given."""
        name = self.workflow or self.workflow_file
        if name is None:
            raise InvalidInput("field workflow is missing", hint="say build-disk-image.yml", field="workflow")
        return name

    @property
    def texts(self) -> dict[str, str]:
        """Return the inputs as forges take them."""
        return {
            name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in self.inputs.items()
        }


class DispatchedAnswer(Answer):
    """The run, our record of it, and the flow run that waits for it."""

    run_id: str | None
    build_id: UUID
    flow_run_id: UUID | None
    warnings: list[str]


class ListRuns(OfRepository):
    """Which runs to list."""

    workflow: Text | None = None
    limit: Limit = 20


class OneRun(OfRepository):
    """One run."""

    run_id: Identifier


class RunView(Answer):
    """A run of a workflow."""

    id: str
    status: RunStatus
    conclusion: str | None
    event: str
    ref: str
    head_sha: str
    url: str
    created_at: Moment

    @classmethod
    def of(cls, run: WorkflowRun) -> RunView:
        """Show a run; what its author wrote is shown without control characters."""
        return cls(
            id=run.id,
            status=run.status,
            conclusion=run.conclusion,
            event=run.event,
            ref=logs.harmless(run.ref),
            head_sha=run.head_sha,
            url=run.url,
            created_at=run.created_at,
        )


class RunList(Answer):
    """Runs, newest first."""

    runs: list[RunView]


class JobView(Answer):
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
            name=logs.harmless(job.name),
            status=job.status,
            conclusion=job.conclusion,
            runner=logs.harmless(job.runner) if job.runner else None,
            started_at=job.started_at,
            completed_at=job.completed_at,
        )


class RunAnswer(Answer):
    """A run and its jobs."""

    run: RunView
    jobs: list[JobView]

    @classmethod
    def of(cls, run: WorkflowRun, jobs: Sequence[Job]) -> RunAnswer:
        """Show a run with its jobs."""
        return cls(run=RunView.of(run), jobs=[JobView.of(job) for job in jobs])


class CancelledAnswer(Answer):
    """The run as it is after it was cancelled."""

    run: RunView


class ReadLogs(Request):
    """Which job's log, and how much of it."""

    repo: Annotated[Text | None, Field(description="May be left away for a run that was dispatched or listed")] = None
    owner: Text | None = None
    run_id: Identifier | None = None
    job_id: Identifier
    tail: Annotated[Whole, Field(ge=1, le=MAX_TAIL, description="The last so many lines")] | None = None
    grep: Annotated[Text | None, Field(description="Only lines that hold this text, as it is written")] = None


class LogsAnswer(Answer):
    """Lines of a log, as text."""

    logs: str


class ListBuilds(Request):
    """Which builds to list."""

    node_platform_id: Text | None = None
    status: BuildStatus | None = None
    limit: Limit = 50
    cursor: Text | None = None


class BuildView(Answer):
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


class BuildList(Answer):
    """Builds, newest first."""

    builds: list[BuildView]
    next_cursor: str | None


@operation(permission=MANAGE)
def dispatch_gitea_workflow(context: Context, caller: Caller, request: DispatchWorkflow) -> DispatchedAnswer:
    """Start a workflow at the forge, record the build, and wait for its callback in a flow."""
    done = dispatching.dispatch(
        context,
        account_id=caller.account_id,
        actor=caller.name,
        repository=request.repository,
        workflow=request.file,
        ref=request.ref,
        inputs=request.texts,
    )
    return DispatchedAnswer(
        run_id=done.build.run_id,
        build_id=done.build.id,
        flow_run_id=done.build.flow_run_id,
        warnings=done.warnings,
    )


@operation(permission=READ, changes=False)
def list_gitea_workflow_runs(context: Context, caller: Caller, request: ListRuns) -> RunList:
    """List the runs of a repository's workflows, newest first."""
    runs = service.list_runs(
        context,
        account_id=caller.account_id,
        repository=request.repository,
        workflow=request.workflow,
        limit=request.limit,
    )
    return RunList(runs=[RunView.of(run) for run in runs])


@operation(permission=READ, changes=False)
def get_gitea_workflow_run(context: Context, caller: Caller, request: OneRun) -> RunAnswer:
    """Show a run and its jobs."""
    run, jobs = service.get_run(
        context, account_id=caller.account_id, repository=request.repository, run_id=request.run_id
    )
    return RunAnswer.of(run, jobs)


@operation(permission=READ, changes=False)
def get_gitea_job_logs(context: Context, caller: Caller, request: ReadLogs) -> LogsAnswer:
    """Show a job's log as far as it has come: at most its last 1 MiB, or the lines that `grep` and `tail` choose."""
    text = logs.read_log(
        context,
        account_id=caller.account_id,
        repository=_repository(request.repo, request.owner) if request.repo else None,
        run_id=request.run_id,
        job_id=request.job_id,
        tail=request.tail,
        grep=request.grep,
    )
    return LogsAnswer(logs=text)


@operation(permission=MANAGE)
def cancel_gitea_workflow_run(context: Context, caller: Caller, request: OneRun) -> CancelledAnswer:
    """Cancel a run, where the forge has an API for it."""
    run = service.cancel_run(
        context, account_id=caller.account_id, repository=request.repository, run_id=request.run_id
    )
    return CancelledAnswer(run=RunView.of(run))


@operation(permission=READ, changes=False)
def system_list_disk_image_builds(context: Context, caller: Caller, request: ListBuilds) -> BuildList:
    """List the builds that were dispatched here, newest first."""
    builds, next_cursor = service.list_builds(
        context,
        account_id=caller.account_id,
        platform=request.node_platform_id,
        status=request.status,
        limit=request.limit,
        cursor=request.cursor,
    )
    return BuildList(builds=[BuildView.of(row) for row in builds], next_cursor=next_cursor)


def _repository(repo: str, owner: str | None) -> GitRepository:
    return GitRepository.parse(repo if owner is None or "/" in repo else f"{owner}/{repo}")
