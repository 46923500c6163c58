"""Forges: where build repositories live and CI runs (Gitea, or the embedded one), and what is asked of them."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self
from uuid import UUID

from bootpress.core.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,98}[A-Za-z0-9_]|[A-Za-z0-9]", re.ASCII)


class ForgeKind(enum.StrEnum):
    """What software a forge is."""

    GITEA = "gitea"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class ForgeConnection:
    """How to reach one forge; `token` is never in a repr."""

    name: str
    kind: ForgeKind
    url: str
    """Gitea: the base of its pages, without a slash at its end. Local: a `file://` URL of a folder."""
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ForgeInfo:
    """What a forge says of itself and of our token."""

    version: str
    user: str
    missing_scopes: tuple[str, ...]
    """Scopes that the token lacks, `unknown` among them where only writing would show."""
    actions_enabled: bool | None
    """Whether it runs workflows; None where it does not say."""


@dataclass(frozen=True, slots=True)
class GitRepository:
    """A repository's name on its forge, written `owner/name`."""

    owner: str
    name: str

    def __str__(self) -> str:
        """Return `owner/name`."""
        return f"{self.owner}/{self.name}"

    @classmethod
    def parse(cls, text: str, *, field: str = "repo") -> Self:
        """Read `owner/name`; InvalidInput for anything else."""
        owner, slash, name = text.partition("/")
        if not slash or not _NAME.fullmatch(owner) or not _NAME.fullmatch(name) or name.endswith(".git"):
            raise InvalidInput(f"field {field}: {text[:100]!r} is no repository", hint="write owner/name", field=field)
        return cls(owner, name)


@dataclass(frozen=True, slots=True)
class RepositoryInfo:
    """A repository as it is on its forge."""

    repository: GitRepository
    default_branch: str
    is_empty: bool
    actions_enabled: bool
    may_administer: bool
    """Whether our token may set secrets, which forges leave to a repository's administrators."""
    url: str
    """The page that people open."""


class RunStatus(enum.StrEnum):
    """How far a workflow run, or a job of one, has come; the words that Gitea and GitHub use."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class WorkflowRun:
    """One run of a workflow."""

    id: str
    workflow: str
    """File name of the workflow, such as `build-disk-image.yml`."""
    status: RunStatus
    conclusion: str | None
    """`success`, `failure`, `cancelled` or `skipped` once it is completed."""
    event: str
    ref: str
    """Branch or tag, without `refs/heads/` or `refs/tags/`."""
    head_sha: str
    url: str
    created_at: datetime
    """When it began, where a forge says no more than that of a run that has, as Gitea does."""
    reason: str | None = None
    """Why it ended before anything of it was run, where the forge says that."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job of a run."""

    id: str
    run_id: str
    name: str
    status: RunStatus
    conclusion: str | None
    runner: str | None
    started_at: datetime | None
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Runner:
    """A runner as its forge sees it."""

    id: str
    name: str
    is_online: bool
    is_busy: bool
    labels: tuple[str, ...]
    last_seen_at: datetime | None
    """None where the forge does not say."""


class Forge(Protocol):
    """One forge, spoken to with one token.

    Raises ForgeUnavailable while it does not answer as it should (retry), ForgeRefused when it says no and will again
    until somebody changes something there (a token, a scope, an owner, a switch: named), NotFound for a repository,
    workflow, run or job that it does not have, Unsupported for what its version cannot do (which version can is named).
    The token is in no message.
    """

    has_oidc: bool
    """Whether jobs get identity tokens, so that cosign can sign keyless."""
    rotates_registration_token: bool
    """Whether `registration_token` makes a new one each time."""

    def check(self, *, owner: str | None = None) -> ForgeInfo:
        """Make sure by calls that change nothing that this is a forge and that it accepts our token.

        With an `owner`, scopes that are for repositories of other owners do not count as missing.
        """

    def find_repository(self, repository: GitRepository) -> RepositoryInfo | None:
        """Return a repository, or None if there is none that we may see."""

    def create_repository(self, repository: GitRepository, *, user: str | None = None) -> RepositoryInfo:
        """Create an empty private repository, its Actions enabled; the one that is there counts as created.

        `user` is whose token ours is, as `check` said; who does not know it has the forge asked again.
        """

    def enable_actions(self, repository: GitRepository) -> None:
        """Let a repository run workflows."""

    def read_file(self, repository: GitRepository, path: str, *, ref: str | None = None) -> bytes | None:
        """Return a file of at most 1 MiB at a branch, tag or commit (None: the default branch), or None."""

    def add_files(self, repository: GitRepository, files: Mapping[str, bytes], *, message: str) -> Sequence[str]:
        """Commit to the default branch those files that are not there; return their paths. Overwrites nothing."""

    def list_secrets(self, repository: GitRepository) -> Sequence[str]:
        """List the names of a repository's Actions secrets."""

    def set_secret(self, repository: GitRepository, name: str, value: str) -> None:
        """Create or replace an Actions secret."""

    def delete_secret(self, repository: GitRepository, name: str) -> None:
        """Delete an Actions secret; an absent one is deleted."""

    def list_variables(self, repository: GitRepository) -> Mapping[str, str]:
        """Return a repository's Actions variables."""

    def set_variable(self, repository: GitRepository, name: str, value: str) -> None:
        """Create or replace an Actions variable."""

    def dispatch(
        self,
        repository: GitRepository,
        workflow: str,
        *,
        ref: str,
        inputs: Mapping[str, str],
        dispatch_id: str | None,
    ) -> str | None:
        """Start a workflow that has `workflow_dispatch`; return the run's id, never another run's.

        `ref` is a branch or tag, a branch where both have the name. `dispatch_id` is the input, one of `inputs`, by
        which a run can be told from others, if the workflow declares it and shows it in its `run-name`. None when the
        forge took the dispatch and the run could not be told from others. ForgeUnsettled when it was asked
        and its answer was lost; after any other error nothing was started.
        """

    def list_runs(
        self, repository: GitRepository, *, workflow: str | None = None, limit: int = 20
    ) -> Sequence[WorkflowRun]:
        """List runs, newest first."""

    def find_run(self, repository: GitRepository, run_id: str) -> WorkflowRun | None:
        """Return a run of this repository, or None."""

    def list_jobs(self, repository: GitRepository, run_id: str) -> Sequence[Job]:
        """List the jobs of a run."""

    def open_log(self, repository: GitRepository, job_id: str) -> AbstractContextManager[Iterator[bytes]]:
        """Stream a job's log, as far as it has come, in pieces of any size; the caller decides how much to read."""

    def cancel_run(self, repository: GitRepository, run_id: str) -> None:
        """Cancel a run; Unsupported where the forge has no API for it, Conflict if the run is over."""

    def registration_token(self, repository: GitRepository) -> str:
        """Return the token with which a runner registers for a repository."""

    def list_runners(self, repository: GitRepository) -> Sequence[Runner]:
        """List the runners that are registered for a repository."""

    def delete_runner(self, repository: GitRepository, runner_id: str) -> None:
        """Deregister a runner; an absent one is deregistered."""


class ForgeFactory(Protocol):
    """Open forges; one per connection is kept and shared by threads."""

    def local_url(self, account_id: UUID) -> str:
        """Return the URL of an account's embedded forge, which it shares with no other account."""

    def open(self, connection: ForgeConnection) -> Forge:
        """Return the forge of a connection."""
