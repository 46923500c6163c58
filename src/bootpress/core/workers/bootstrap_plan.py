"""What a bootstrap is to set up, and what can be found out about it before a row is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from bootpress.core.connections import service as connections
from bootpress.core.context import Context
from bootpress.core.errors import ForgeRefused, InvalidInput, NotFound
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import find_platform
from bootpress.core.platforms.slugs import is_slug
from bootpress.core.ports import Forge, ForgeInfo, GitRepository, RegistryConnection, RepositoryInfo
from bootpress.core.webhooks.rules import label_key
from bootpress.core.workers.models import CiWorker
from bootpress.core.workers.states import WorkerState

UNKNOWN_SCOPE: Final = "unknown"


@dataclass(frozen=True, slots=True)
class BootstrapPlan:
    """What is to be set up; none of it is a secret."""

    label: str
    repo: str
    """`owner/name`."""
    forge: str
    """Name of the forge connection."""
    base: str
    """What the webhook's URL begins with."""
    platform_slug: str | None
    read_permissions: Sequence[str]
    """Of the read token; none where none is wanted."""
    signing_key: bool
    replaces_key: bool
    """Whether a key that the repository has and that we did not make may be replaced."""
    rotate_signing_key: bool
    asked_with: str | None = None
    """Id of the token that asked for it: the read token ends with that one. Unknown of what was asked before 0004."""

    @property
    def repository(self) -> GitRepository:
        """Return the repository's name."""
        return GitRepository.parse(self.repo)

    @property
    def parent_id(self) -> UUID | None:
        """Return the id of the token that asked for it."""
        return UUID(self.asked_with) if self.asked_with else None

    @property
    def claims(self) -> list[str]:
        """Return what no other saga may work on meanwhile."""
        return [claim_of_label(self.label), claim_of_repository(self.forge, self.repo)]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as a row keeps it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class PreflightResult:
    """What the forge and the connections said before anything was changed."""

    user: str
    """Whose token the forge is connected with."""
    exists: bool
    actions_enabled: bool
    registry_host: str | None
    registry_connection: str | None
    """Name of the registry's connection; none for a registry without one."""
    registry_is_plain: bool
    """Whether its connection allows HTTP to a host that is not this machine."""

    def as_json(self) -> dict[str, Any]:
        """Return the findings as a row keeps them."""
        return dataclasses.asdict(self)


def claim_of_label(label: str) -> str:
    """Return how a saga claims a label."""
    return f"the label {label_key(label)}"


def claim_of_repository(forge: str, repo: str) -> str:
    """Return how a saga claims a repository, whose name forges compare without case."""
    return f"the repository {repo.casefold()} of the forge {forge}"


def choose_forge(context: Context, account_id: UUID, label: str, platform_slug: str | None) -> tuple[str, Forge]:
    """Open the forge that the platform names, else the one that the label is on, else the account's."""
    with context.catalog.read_session() as session:
        platform = find_platform_or_none(session, account_id, platform_slug)
        worker = find_worker(session, account_id, label)
    named = (platform and platform.forge_name) or (worker and worker.forge_name) or None
    return connections.open_forge(context, account_id, named)


def preflight(context: Context, account_id: UUID, forge: Forge, repository: GitRepository) -> PreflightResult:
    """Make sure that the forge lets us set the repository up, as far as calls that change nothing show it.

    Raises ForgeRefused that names what is missing: a scope, the right to administer, Actions.
    """
    info = forge.check(owner=repository.owner)
    _check_token(info)
    found = forge.find_repository(repository)
    if found is not None:
        _check_repository(info, found)
    registry = _default_registry(context, account_id)
    return PreflightResult(
        user=info.user,
        exists=found is not None,
        actions_enabled=found is not None and found.actions_enabled,
        registry_host=registry.host if registry else context.local_registry(),
        registry_connection=registry.name if registry else None,
        registry_is_plain=registry is not None and registry.plain_http,
    )


def find_worker(session: Session, account_id: UUID, label: str, *, lock: bool = False) -> CiWorker | None:
    """Return the CI worker that a label stands for now."""
    query = select(CiWorker).where(
        CiWorker.account_id == account_id,
        CiWorker.label_key == label_key(label),
        CiWorker.status != WorkerState.REVOKED,
    )
    return session.scalar(query.with_for_update() if lock else query)


def find_platform_or_none(session: Session, account_id: UUID, slug: str | None) -> NodePlatform | None:
    """Return the platform of a slug (or id), or None."""
    if slug is None:
        return None
    try:
        return find_platform(session, account_id, slug)
    except NotFound:
        return None


def check_repository(owner: str, name: str) -> GitRepository:
    """Return the repository of an owner; InvalidInput that says which of the two is none."""
    for field, text in (("owner", owner), ("repo", name)):
        try:
            GitRepository.parse(f"{owner if field == 'owner' else 'owner'}/{name if field == 'repo' else 'name'}")
        except InvalidInput as error:
            raise InvalidInput(
                f"field {field}: {text[:100]!r} is no name on a forge",
                hint="write it without slashes, as it stands in the repository's URL",
                field=field,
            ) from error
    return GitRepository(owner, name)


def resolve_slug(context: Context, account_id: UUID, named: str | None) -> str | None:
    """Return the slug of a platform that is named by its slug or id; as it is where there is none yet.

    InvalidInput for one that no platform can have: the pipeline would build for nobody, for good.
    """
    with context.catalog.read_session() as session:
        platform = find_platform_or_none(session, account_id, named)
    if platform is None and named is not None and not is_slug(named):
        raise InvalidInput(
            f"field platform_slug: there is no node platform {named[:100]!r}, and none can be called so",
            hint="a slug has small letters, digits, dots, dashes and underscores, 63 at most",
            field="platform_slug",
        )
    return platform.slug if platform else named


def check_label(label: str) -> str:
    """Return a label without blanks around it; InvalidInput for one of blanks only."""
    if not label_key(label):
        raise InvalidInput("the label is empty", field="label")
    return label.strip()


def read_plan(told: Mapping[str, Any]) -> BootstrapPlan:
    """Return the plan that a row keeps."""
    return BootstrapPlan(**told)


def read_findings(told: Mapping[str, Any]) -> PreflightResult:
    """Return the findings that a row keeps."""
    return PreflightResult(**told)


def _check_token(info: ForgeInfo) -> None:
    missing = [scope for scope in info.missing_scopes if scope != UNKNOWN_SCOPE]
    if missing:
        raise ForgeRefused(
            f"the forge's token, which is {info.user}'s, lacks the scopes {', '.join(missing)}",
            hint="make a token that has them, and connect the forge again with system_connect_forge",
        )
    if info.actions_enabled is False:
        raise ForgeRefused(
            "the forge has Actions switched off: no workflow would run there",
            hint="its administrator switches them on ([actions] ENABLED = true in Gitea's app.ini)",
        )


def _check_repository(info: ForgeInfo, found: RepositoryInfo) -> None:
    if not found.may_administer:
        raise ForgeRefused(
            f"{found.repository} is not {info.user}'s to administer, whose token the forge is connected with",
            hint="a forge leaves secrets to a repository's owners: connect it with the token of one, or name another",
        )


def _default_registry(context: Context, account_id: UUID) -> RegistryConnection | None:
    """Return the account's registry connection `default`, else its only one, else none."""
    found = {one.name: one for one in context.connections.list_registries(account_id)}
    only = next(iter(found.values())) if len(found) == 1 else None
    return found.get(connections.DEFAULT, only)
