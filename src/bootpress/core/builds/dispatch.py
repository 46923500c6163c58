"""Dispatch a build: check what can be checked, record it, ask the forge, then start the flow that waits.

The row is there before the forge is asked: whatever becomes of the answer, what may be running is on record. A dispatch
whose answer is lost is not made again; the build is found by its callback or its image, or times out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from bootpress.core.builds import rules, workflow_inputs
from bootpress.core.builds.models import Build
from bootpress.core.builds.states import BuildStatus
from bootpress.core.connections.service import open_forge
from bootpress.core.context import Context
from bootpress.core.errors import (
    BootpressError,
    Conflict,
    ForgeOutcomeUnknown,
    InvalidInput,
    NotFound,
    OrchestratorUnavailable,
)
from bootpress.core.events import service as events
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import find_platform
from bootpress.core.ports import Forge, GitRepository, JobKind, WorkflowRun

FOLDERS = (".gitea/workflows/", ".github/workflows/")
"""Where forges look for workflow files; the first folder that has the file counts."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DispatchResult:
    """A build that runs, or may run, and what the caller should know besides."""

    build: Build
    warnings: list[str]


def dispatch(
    context: Context,
    *,
    account_id: UUID,
    actor: str,
    repository: GitRepository,
    workflow: str,
    ref: str | None,
    inputs: Mapping[str, str],
) -> DispatchResult:
    """Start a workflow, record the build, and start the flow that waits for its callback.

    Raises Conflict without a forge or for a workflow that cannot be dispatched, NotFound for a repository or workflow
    that is not there, InvalidInput for inputs that it does not declare; then nothing is recorded. ForgeUnsettled when
    the forge was asked and its answer was lost: then the build is on record, and may run.
    """
    slug = inputs.get("platform_slug")
    platform = _find_platform(context, account_id, slug)
    forge_name, forge = open_forge(context, account_id, platform.forge_name if platform else None)
    where = forge.find_repository(repository)
    if where is None:
        raise NotFound(
            f"the forge {forge_name} has no repository {repository} that our token may see",
            hint="bootstrap_disk_image_ci makes one",
        )
    ref = ref or where.default_branch
    declared = _declared_inputs(forge, repository, workflow, ref)
    workflow_inputs.check_inputs(declared, inputs, workflow=workflow)
    now = context.clock.now()
    build_id = uuid4()
    build = Build(
        id=build_id,
        account_id=account_id,
        actor=actor,
        node_platform_id=platform.id if platform else None,
        platform_slug=slug or None,
        forge_name=forge_name,
        repo=str(repository),
        workflow=workflow,
        ref=ref,
        dispatch_id=build_id.hex,
        status=BuildStatus.DISPATCHED,
        created_at=now,
        deadline_at=rules.deadline(now, platform.build_timeout_minutes if platform else None),
    )
    with context.catalog.transaction() as session:
        session.add(build)
    sends_id = workflow_inputs.DISPATCH_ID in declared
    sent = {**inputs, **({workflow_inputs.DISPATCH_ID: build.dispatch_id} if sends_id else {})}
    run_id = _ask(context, forge, repository, build, sent, build.dispatch_id if sends_id else None)
    record_run(context, build.id, run_id, _look_up(forge, repository, run_id))
    start_flow(context, build.id)
    with context.catalog.read_session() as session:
        build = session.get_one(Build, build.id)
    return DispatchResult(build, _warnings(build, sends_id=sends_id))


def _find_platform(context: Context, account_id: UUID, slug: str | None) -> NodePlatform | None:
    if not slug:
        return None
    try:
        with context.catalog.read_session() as session:
            return find_platform(session, account_id, slug)
    except NotFound:
        return None


def _declared_inputs(
    forge: Forge, repository: GitRepository, workflow: str, ref: str
) -> Mapping[str, workflow_inputs.Input]:
    if "/" in workflow or not workflow.endswith((".yml", ".yaml")):
        raise InvalidInput(
            f"field workflow: {workflow[:100]!r} is no workflow file",
            hint="say the file's name alone, such as build-disk-image.yml",
            field="workflow",
        )
    for folder in FOLDERS:
        source = forge.read_file(repository, folder + workflow, ref=ref)
        if source is not None:
            inputs = workflow_inputs.read_declaration(source, name=workflow).inputs
            if inputs is None:
                raise Conflict(
                    f"{workflow} of {repository} at {ref} cannot be dispatched: it has no trigger workflow_dispatch",
                    hint="add workflow_dispatch below `on:` in the file",
                )
            return inputs
    raise NotFound(
        f"{repository} has no workflow {workflow[:100]} at {ref[:100]}",
        hint=f"it belongs into {FOLDERS[0]}; see that the branch or tag is there",
    )


def _ask(
    context: Context,
    forge: Forge,
    repository: GitRepository,
    build: Build,
    inputs: Mapping[str, str],
    dispatch_id: str | None,
) -> str | None:
    try:
        return forge.dispatch(repository, build.workflow, ref=build.ref, inputs=inputs, dispatch_id=dispatch_id)
    except ForgeOutcomeUnknown as error:
        raise ForgeOutcomeUnknown(
            f"{error.message}; whether the workflow was started is not known",
            hint=f"build {build.id} is on record: see system_list_disk_image_builds before you dispatch again",
            retry_after=error.retry_after,
        ) from error
    except BootpressError:
        # Nothing was started: there is nothing to wait for.
        with context.catalog.transaction() as session:
            session.delete(session.get_one(Build, build.id))
        raise


def _look_up(forge: Forge, repository: GitRepository, run_id: str | None) -> WorkflowRun | None:
    try:
        return forge.find_run(repository, run_id) if run_id else None
    except BootpressError as error:
        logger.info("run %s of %s is looked up later: %s", run_id, repository, error)
        return None


def record_run(context: Context, build_id: UUID, run_id: str | None, run: WorkflowRun | None) -> None:
    """Write down which run a build is, in the transaction that announces it."""
    with context.catalog.transaction() as session:
        build = session.get_one(Build, build_id, with_for_update=True)
        build.run_id = run_id or build.run_id  # its callback may have come already, and said so
        if run is not None:
            build.run_url, build.head_sha = run.url, run.head_sha
        events.record(
            session,
            events.Kind.BUILD_DISPATCHED,
            account_id=build.account_id,
            actor=build.actor,
            at=context.clock.now(),
            payload={
                "build_id": str(build.id),
                "node_platform_id": str(build.node_platform_id) if build.node_platform_id else None,
                "platform_slug": build.platform_slug,
                "repo": build.repo,
                "workflow": build.workflow,
                "ref": build.ref,
                "run_id": run_id,
                "run_url": build.run_url,
                "dispatch_id": build.dispatch_id,
            },
            node_platform_id=build.node_platform_id,
        )


def start_flow(context: Context, build_id: UUID) -> bool:
    """Start the flow run that waits for a build's callback; False while the orchestrator is away: it is tried again."""
    with context.catalog.read_session() as session:
        build = session.get_one(Build, build_id)
    try:
        run_id = context.launcher.launch(JobKind.BUILD, build.id, key=build.id, run_name=run_name(build))
    except OrchestratorUnavailable as error:
        logger.info("build %s has no flow run yet: %s", build.id, error)
        return False
    with context.catalog.transaction() as session:
        build = session.get_one(Build, build_id, with_for_update=True)
        # The run may have begun already, and said so itself.
        build.flow_run_id = build.flow_run_id or run_id
    return True


def run_name(build: Build) -> str:
    """Return what the flow run of a build is called: its platform, else its repository, and its run at the forge."""
    return f"{(build.platform_slug or build.repo)[:60]} @ {build.run_id or build.dispatch_id[:12]}"


def _warnings(build: Build, *, sends_id: bool) -> list[str]:
    warnings = []
    if build.node_platform_id is None:
        said = (
            f"there is no node platform {build.platform_slug!r}" if build.platform_slug else "no platform_slug is given"
        )
        warnings.append(f"{said}: the build belongs to no platform and has {rules.DEFAULT_TIMEOUT_MINUTES} minutes")
    if not sends_id:
        warnings.append(
            f"{build.workflow} declares no input dispatch_id: its callback is told from others by run, commit or tag"
        )
    if build.run_id is None:
        warnings.append("the forge took the dispatch and did not say which run it is; it is found by its callback")
    if build.flow_run_id is None:
        warnings.append("Prefect is away: the flow that waits for the callback is started later")
    return warnings
