"""The parts of Gitea's answers that are read (its `modules/structs`); whatever else they say is left aside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

Short = Annotated[str, Field(max_length=4096)]
"""What is kept of an answer."""


class GiteaModel(BaseModel):
    """One JSON object of Gitea's."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @field_validator("*")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        # JSON can spell it, and PostgreSQL keeps no text that has it: one run must not stop whoever looks at all.
        return value.replace("\x00", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


class VersionDocument(GiteaModel):
    """`GET /version`."""

    version: str


class UserDocument(GiteaModel):
    """A user, or an organisation."""

    login: str


class Permissions(GiteaModel):
    """What our token's user may do with a repository."""

    admin: bool = False


class RepositoryDocument(GiteaModel):
    """`GET /repos/{owner}/{name}`."""

    owner: UserDocument
    name: str
    default_branch: str
    empty: bool
    has_actions: bool
    archived: bool = False
    html_url: str
    permissions: Permissions | None = None


class ContentDocument(GiteaModel):
    """A file; `content` is null where Gitea finds it too large to send, or where it is no file."""

    type: str
    size: int
    encoding: str | None = None
    content: str | None = None


class TreeEntry(GiteaModel):
    """A file or folder of a commit."""

    path: str


class TreeDocument(GiteaModel):
    """One page of a commit's tree."""

    tree: list[TreeEntry] | None
    truncated: bool


class SecretDocument(GiteaModel):
    """An Actions secret: its name, never its value."""

    name: str


class VariableDocument(GiteaModel):
    """An Actions variable."""

    name: str
    data: str


class DispatchedDocument(GiteaModel):
    """What a dispatch with `return_run_details` is answered with, from 1.26."""

    workflow_run_id: int


class RunDocument(GiteaModel):
    """A workflow run; it does not say when it was created, and times that have not come are the epoch."""

    id: int
    path: str
    """`<file>@<full ref>`, such as `build.yml@refs/tags/v1`."""
    event: str
    display_title: str
    head_sha: Short
    status: str
    conclusion: str | None = None
    html_url: Short
    started_at: datetime
    completed_at: datetime
    trigger_actor: UserDocument | None = None


class JobDocument(GiteaModel):
    """A job of a run; times that have not come are the epoch."""

    id: int
    run_id: int
    name: str
    status: str
    conclusion: str | None = None
    runner_name: str | None = None
    created_at: datetime
    started_at: datetime
    completed_at: datetime


class LabelDocument(GiteaModel):
    """A label of a runner."""

    name: str


class RunnerDocument(GiteaModel):
    """A runner."""

    id: int
    name: str
    status: str
    busy: bool
    labels: list[LabelDocument] | None = None


class TokenDocument(GiteaModel):
    """A runner registration token."""

    token: str
