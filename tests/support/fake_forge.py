"""A forge and a Docker host in memory, for the core's logic; they pass the conformance tests of their ports."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import yaml

from bootpress.core.errors import ForgeRefused, ForgeUnavailable, NotFound, RunnerHostUnavailable, Unsupported
from bootpress.core.ports import (
    Container,
    Forge,
    ForgeConnection,
    ForgeInfo,
    GitRepository,
    HostInfo,
    Job,
    RepositoryInfo,
    Runner,
    RunnerHost,
    RunnerSpec,
    RunStatus,
    WorkflowRun,
)

WORKFLOWS = ".gitea/workflows/"
BRANCH = "main"
COMMIT = "c0ffee"
"""The only commit there ever is: the newest, or that of the newest dispatch."""


@dataclass
class FakeRepository:
    """What the fake forge keeps of a repository."""

    info: RepositoryInfo
    files: dict[str, bytes] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    runs: dict[str, WorkflowRun] = field(default_factory=dict)
    inputs: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Of each run, what it was dispatched with."""
    jobs: dict[str, list[Job]] = field(default_factory=dict)
    logs: dict[str, bytes] = field(default_factory=dict)
    runners: dict[str, Runner] = field(default_factory=dict)
    trees: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Of each tag and each commit, the files."""

    def tree(self, ref: str | None) -> dict[str, bytes] | None:
        """Return the files of a ref."""
        return self.files if ref in {None, BRANCH} else self.trees.get(ref or "")


class FakeForge:
    """One forge; `calls` says what was asked of it, `fail_at` what it fails at, once for each mention."""

    def __init__(self, *, has_oidc: bool = False) -> None:
        self.has_oidc = has_oidc
        self.rotates_registration_token = False
        self.info = ForgeInfo("fake", "keeper", (), actions_enabled=True)
        self.repositories: dict[GitRepository, FakeRepository] = {}
        self.calls: list[str] = []
        self.away = False
        self.fail_at: list[str] = []
        self.fail_with: Exception | None = None
        self._ids = itertools.count(1)

    def _asked(self, call: str) -> None:
        self.calls.append(call)
        if self.away:
            raise ForgeUnavailable("the fake forge is away")
        if call in self.fail_at:
            self.fail_at.remove(call)
            raise self.fail_with or ForgeUnavailable("the fake forge failed this once")

    def _find(self, repository: GitRepository) -> FakeRepository:
        found = self.repositories.get(repository)
        if found is None:
            raise NotFound(f"no repository {repository}")
        return found

    def check(self, *, owner: str | None = None) -> ForgeInfo:
        self._asked("check")
        return self.info

    def find_repository(self, repository: GitRepository) -> RepositoryInfo | None:
        self._asked("find_repository")
        found = self.repositories.get(repository)
        return found.info if found else None

    def create_repository(self, repository: GitRepository, *, user: str | None = None) -> RepositoryInfo:
        self._asked("create_repository")
        if repository not in self.repositories:
            info = RepositoryInfo(
                repository,
                default_branch=BRANCH,
                is_empty=True,
                actions_enabled=True,
                may_administer=True,
                url=f"https://forge.example/{repository}",
            )
            self.repositories[repository] = FakeRepository(info)
        return self.repositories[repository].info

    def enable_actions(self, repository: GitRepository) -> None:
        self._asked("enable_actions")
        found = self._find(repository)
        found.info = replace(found.info, actions_enabled=True)

    def disable_actions(self, repository: GitRepository) -> None:
        """Let a repository run nothing, as somebody may in its settings."""
        found = self._find(repository)
        found.info = replace(found.info, actions_enabled=False)

    def add_tag(self, repository: GitRepository, name: str) -> None:
        """Tag the newest commit."""
        found = self._find(repository)
        found.trees[name] = dict(found.files)

    def read_file(self, repository: GitRepository, path: str, *, ref: str | None = None) -> bytes | None:
        self._asked("read_file")
        return (self._find(repository).tree(ref) or {}).get(path)

    def add_files(self, repository: GitRepository, files: Mapping[str, bytes], *, message: str) -> Sequence[str]:
        self._asked("add_files")
        found = self._find(repository)
        added = [path for path in files if path not in found.files]
        found.files |= {path: files[path] for path in added}
        found.info = replace(found.info, is_empty=not found.files)
        return added

    def list_secrets(self, repository: GitRepository) -> Sequence[str]:
        self._asked("list_secrets")
        return sorted(self._find(repository).secrets)

    def set_secret(self, repository: GitRepository, name: str, value: str) -> None:
        self._asked(f"set_secret {name}")
        self._find(repository).secrets[name] = value

    def delete_secret(self, repository: GitRepository, name: str) -> None:
        self._asked(f"delete_secret {name}")
        self._find(repository).secrets.pop(name, None)

    def list_variables(self, repository: GitRepository) -> Mapping[str, str]:
        self._asked("list_variables")
        return dict(self._find(repository).variables)

    def set_variable(self, repository: GitRepository, name: str, value: str) -> None:
        self._asked(f"set_variable {name}")
        self._find(repository).variables[name] = value

    def dispatch(
        self,
        repository: GitRepository,
        workflow: str,
        *,
        ref: str,
        inputs: Mapping[str, str],
        dispatch_id: str | None,
    ) -> str | None:
        self._asked("dispatch")
        found = self._find(repository)
        if not found.info.actions_enabled:
            raise ForgeRefused(f"Actions are disabled for {repository}", hint="enable them")
        tree = found.tree(ref)
        if tree is None:
            raise NotFound(f"{repository} has no branch or tag {ref}")
        if WORKFLOWS + workflow not in tree:
            raise NotFound(f"{repository} has no workflow {workflow}")
        source = yaml.safe_load(tree[WORKFLOWS + workflow])
        if "workflow_dispatch" not in (source.get("on") or source.get(True) or {}):  # YAML 1.1 reads `on` as true
            raise NotFound(f"{workflow} of {repository} cannot be dispatched")
        names = [job.get("name", key) for key, job in source.get("jobs", {"build": {}}).items()]
        run_id = str(next(self._ids))
        found.runs[run_id] = WorkflowRun(
            run_id,
            workflow,
            RunStatus.QUEUED,
            None,
            "workflow_dispatch",
            ref,
            COMMIT,
            f"{found.info.url}/runs/{run_id}",
            datetime.now(UTC),
        )
        found.trees[COMMIT] = dict(tree)
        found.inputs[run_id] = dict(inputs)
        found.jobs[run_id] = [
            Job(run_id if number == 0 else f"{run_id}-{number}", run_id, name, RunStatus.QUEUED, None, None, None, None)
            for number, name in enumerate(names)
        ]
        found.logs |= {job.id: b"" for job in found.jobs[run_id]}
        return run_id

    def run_jobs(self, repository: GitRepository, *, log: bytes) -> None:
        """Let a runner take every job that waits, say the same in each and succeed."""
        found = self._find(repository)
        found.runners["1"] = Runner("1", "fake", True, False, ("disk-image-builder",), None)  # noqa: FBT003 - online, idle
        for run in [run for run in found.runs.values() if run.status is RunStatus.QUEUED]:
            now = datetime.now(UTC)
            found.logs |= {job.id: log for job in found.jobs[run.id]}
            found.jobs[run.id] = [
                replace(job, runner="fake", started_at=now, completed_at=now) for job in found.jobs[run.id]
            ]
            self.end_run(repository, run.id)

    def end_run(self, repository: GitRepository, run_id: str, conclusion: str = "success") -> None:
        """Let a run end, as a runner would."""
        found = self._find(repository)
        ended = {"status": RunStatus.COMPLETED, "conclusion": conclusion}
        found.runs[run_id] = replace(found.runs[run_id], **ended)  # type: ignore[arg-type]  # both fields, of two types
        found.jobs[run_id] = [replace(job, **ended) for job in found.jobs[run_id]]  # type: ignore[arg-type]  # same

    def list_runs(
        self, repository: GitRepository, *, workflow: str | None = None, limit: int = 20
    ) -> Sequence[WorkflowRun]:
        self._asked("list_runs")
        runs = [run for run in self._find(repository).runs.values() if workflow in {None, run.workflow}]
        return runs[::-1][:limit]

    def find_run(self, repository: GitRepository, run_id: str) -> WorkflowRun | None:
        self._asked("find_run")
        return self._find(repository).runs.get(run_id)

    def list_jobs(self, repository: GitRepository, run_id: str) -> Sequence[Job]:
        self._asked("list_jobs")
        found = self._find(repository)
        if run_id not in found.runs:
            raise NotFound(f"{repository} has no run {run_id}")
        return found.jobs[run_id]

    @contextmanager
    def open_log(self, repository: GitRepository, job_id: str) -> Iterator[Iterator[bytes]]:
        self._asked("open_log")
        log = self._find(repository).logs.get(job_id)
        if log is None:
            raise NotFound(f"{repository} has no job {job_id}")
        yield iter([log[start : start + 8192] for start in range(0, len(log), 8192)])

    def cancel_run(self, repository: GitRepository, run_id: str) -> None:
        self._asked("cancel_run")
        raise Unsupported("the fake forge cannot cancel a run", hint="stop its runner")

    def registration_token(self, repository: GitRepository) -> str:
        self._asked("registration_token")
        self._find(repository)
        return f"registers-at-{repository}"

    def list_runners(self, repository: GitRepository) -> Sequence[Runner]:
        self._asked("list_runners")
        return list(self._find(repository).runners.values())

    def delete_runner(self, repository: GitRepository, runner_id: str) -> None:
        self._asked("delete_runner")
        self._find(repository).runners.pop(runner_id, None)


class FakeForges:
    """Every connection leads to one forge."""

    def __init__(self) -> None:
        self.forge = FakeForge()

    def local_url(self, account_id: UUID) -> str:
        return f"file:///srv/press/forge/{account_id}"

    def open(self, connection: ForgeConnection) -> Forge:
        return self.forge


class FakeRunnerHost:
    """Containers in memory; `log` is what each of them says, `on_start` what comes of one that starts."""

    def __init__(self) -> None:
        self.containers: dict[UUID, tuple[str, RunnerSpec]] = {}
        self.away = False
        self.log = ["registered"]
        self.on_start: Callable[[RunnerSpec], None] = lambda _: None
        self.has_token: set[str] = set()

    def _asked(self) -> None:
        if self.away:
            raise RunnerHostUnavailable("the fake Docker host is away")

    def check(self) -> HostInfo:
        self._asked()
        return HostInfo("fake", "amd64")

    def start(self, spec: RunnerSpec) -> Container:
        self._asked()
        container_id, made_for = self.containers.get(spec.worker_id, ("", spec))
        is_new = not container_id or replace(made_for, registration_token="") != replace(spec, registration_token="")
        if is_new:
            container_id = uuid4().hex
            self.containers[spec.worker_id] = (container_id, spec)
            self.has_token.add(container_id)
            self.on_start(spec)
        return Container(container_id, is_new)

    def clear_registration_token(self, container_id: str) -> None:
        self._asked()
        self.has_token.discard(container_id)

    def is_running(self, container_id: str) -> bool:
        self._asked()
        return any(found == container_id for found, _ in self.containers.values())

    def logs(self, container_id: str, *, lines: int) -> Sequence[str]:
        self._asked()
        return self.log[-lines:] if any(found == container_id for found, _ in self.containers.values()) else []

    def remove(self, worker_id: UUID) -> None:
        self._asked()
        self.containers.pop(worker_id, None)


class FakeRunnerHosts:
    """Every URL leads to one host; `opened` says which were asked for."""

    def __init__(self) -> None:
        self.host = FakeRunnerHost()
        self.opened: list[str | None] = []

    def open(self, url: str | None) -> RunnerHost:
        self.opened.append(url)
        return self.host
