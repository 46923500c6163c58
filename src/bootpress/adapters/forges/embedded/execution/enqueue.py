"""Find workflows in a repository, and enter runs of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bootpress.adapters.forges.embedded.execution.runs import JobState, Runs, RunSpec, RunState, now
from bootpress.adapters.forges.embedded.repository.git import Bare, Revision
from bootpress.adapters.forges.embedded.workflow import expressions, triggers, workflow, workflow_yaml
from bootpress.core.errors import ForgeRefused, Unsupported
from bootpress.core.ports import GitRepository, RunStatus

FOLDERS: Final = (".gitea/workflows", ".github/workflows")
"""As Gitea does: the second counts where there is no first."""
MAX_WORKFLOWS: Final = 50


@dataclass(frozen=True, slots=True)
class Source:
    """A workflow file of a commit."""

    name: str
    content: bytes

    def triggers(self) -> triggers.Triggers:
        """Return what starts it; Unsupported where that cannot be told."""
        return triggers.read(workflow_yaml.load(self.content))


def find_workflow(bare: Bare, commit: str, name: str) -> Source | None:
    """Return a workflow file of a commit, or None."""
    if "/" in name or not name.endswith((".yml", ".yaml")):
        return None
    contents = (bare.read(commit, f"{folder}/{name}") for folder in FOLDERS)
    return next((Source(name, content) for content in contents if content is not None), None)


def workflows(bare: Bare, commit: str) -> Iterator[Source]:
    """Yield the workflow files of a commit."""
    for folder in FOLDERS:
        names = [name for name in bare.list_folder(commit, folder) if name.endswith((".yml", ".yaml"))]
        for name in names[:MAX_WORKFLOWS]:
            try:
                content = bare.read(commit, f"{folder}/{name}")
            except ForgeRefused:
                continue  # far too large to be one
            if content is not None:
                yield Source(name, content)
        if names:
            return


def create_run(
    runs: Runs,
    repository: GitRepository,
    source: Source,
    *,
    event: str,
    revision: Revision,
    inputs: Mapping[str, str],
    push: str | None = None,
) -> str:
    """Enter a run and return its id; one whose workflow cannot be run here has failed already, its log says why."""
    spec = RunSpec(
        repository=str(repository),
        workflow=source.name,
        event=event,
        ref=revision.ref,
        sha=revision.commit,
        created_at=now(),
        inputs=inputs,
        push=push,
    )
    try:
        jobs = workflow.plan(workflow_yaml.load(source.content)).jobs
    except Unsupported as error:
        failed = RunState(RunStatus.QUEUED, None, [JobState(name) for name in _names(source)]).ended("failure")
        return runs.create(spec, source.content, failed, why=f"nothing was run: {error}")
    shown = {"inputs": inputs, "github": {"ref_name": revision.ref.split("/", 2)[-1], "sha": revision.commit}}
    waiting = [JobState(expressions.render(job.name, shown)) for job in jobs]
    return runs.create(spec, source.content, RunState(RunStatus.QUEUED, None, waiting))


def _names(source: Source) -> Sequence[str]:
    """Return what the jobs are called of a workflow that cannot be run, as far as that can be read."""
    try:
        jobs: Any = workflow_yaml.load(source.content).get("jobs")
    except Unsupported:
        jobs = None
    return [name[:100] for name in jobs][: workflow.MAX_JOBS] if isinstance(jobs, Mapping) and jobs else [source.name]
