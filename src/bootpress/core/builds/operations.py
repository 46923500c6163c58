"""Public operations on builds, and on the workflow runs of the forge."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from bootpress.core.builds import dispatch, logs, service
from bootpress.core.builds.schemas import (
    BuildList,
    BuildView,
    CancelledAnswer,
    DispatchedAnswer,
    LogsAnswer,
    RunAnswer,
    RunList,
    RunView,
)
from bootpress.core.builds.states import BuildStatus
from bootpress.core.builds.workflow_inputs import MAX_INPUTS, MAX_VALUE
from bootpress.core.context import Caller, Context
from bootpress.core.errors import InvalidInput
from bootpress.core.operation import Limit, OperationRequest, PageRequest, Text, Whole, operation
from bootpress.core.ports import GitRepository
from bootpress.core.texts import reject_unstorable_text

READ = "system.disk_image_builds.read"
MANAGE = "system.disk_image_builds.manage"
MAX_TAIL = 100_000


def _as_text(value: object) -> object:
    # Scripts pass the number that they read from an answer of Gitea's.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Identifier = Annotated[
    str, BeforeValidator(reject_unstorable_text), BeforeValidator(_as_text), Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
]
"""A run's or job's id, as a text or a number."""
Value = Annotated[str, BeforeValidator(reject_unstorable_text), Field(max_length=MAX_VALUE)] | StrictBool | int | float


class OfRepository(OperationRequest):
    """Which repository: `owner/name`, or both apart."""

    repo: Annotated[Text, Field(description="owner/name; or the name, with owner beside it")]
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
        dict[Annotated[Text, Field(max_length=100)], Value],
        Field(
            default_factory=dict,
            max_length=MAX_INPUTS,
            description="What the workflow declares; platform_slug ties the build to a platform",
        ),
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


class ListRuns(OfRepository):
    """Which runs to list."""

    workflow: Text | None = None
    limit: Limit = 20


class OneRun(OfRepository):
    """One run."""

    run_id: Identifier


class ReadLogs(OperationRequest):
    """Which job's log, and how much of it."""

    repo: Annotated[Text | None, Field(description="May be left away for a run that was dispatched or listed")] = None
    owner: Text | None = None
    run_id: Identifier | None = None
    job_id: Identifier
    tail: Annotated[Whole, Field(ge=1, le=MAX_TAIL, description="The last so many lines")] | None = None
    grep: Annotated[Text | None, Field(description="Only lines that hold this text, as it is written")] = None


class ListBuilds(PageRequest):
    """Which builds to list."""

    node_platform_id: Text | None = None
    status: BuildStatus | None = None


@operation(permission=MANAGE, asks_outside=True)
def dispatch_gitea_workflow(context: Context, caller: Caller, request: DispatchWorkflow) -> DispatchedAnswer:
    """Start a workflow at the forge, record the build, and wait for its callback in a flow."""
    done = dispatch.dispatch(
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


@operation(permission=READ, changes=False, asks_outside=True)
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


@operation(permission=READ, changes=False, asks_outside=True)
def get_gitea_workflow_run(context: Context, caller: Caller, request: OneRun) -> RunAnswer:
    """Show a run and its jobs."""
    run, jobs = service.get_run(
        context, account_id=caller.account_id, repository=request.repository, run_id=request.run_id
    )
    return RunAnswer.of(run, jobs)


@operation(permission=READ, changes=False, asks_outside=True)
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


@operation(permission=MANAGE, asks_outside=True)
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
    found = GitRepository.parse(repo if owner is None or "/" in repo else f"{owner}/{repo}")
    if owner is not None and owner.lower() != found.owner.lower():
        raise InvalidInput(
            f"field owner: {owner[:100]!r} is not the owner of {found}", hint="say one of the two", field="owner"
        )
    return found
