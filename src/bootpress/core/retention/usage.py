"""Who still needs a manifest that a purge would delete: publications of any account, by any name of its registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Final, cast
from uuid import UUID

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, select, union
from sqlalchemy.orm import Session, aliased

from bootpress.core.context import Context
from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.errors import ContentRejected
from bootpress.core.pieces import ROWS
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.ports import Registry
from bootpress.core.publications.models import Artifact, Publication
from bootpress.core.publications.rules import SETTLED
from bootpress.core.publications.states import PublicationStatus as Status
from bootpress.core.references import Repository, digest_hex, parse_repository
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.rules import GRACE

PROTECTED_STATUSES = (Status.QUEUED, Status.VERIFYING, Status.PUBLISHED, Status.RETIRED, Status.REVOKED)
MAX_LOOKED_AT = 500
"""Manifests of others whose attachments are looked at."""
MAX_REPOSITORIES = 50
"""Repositories in which a manifest is needed by others."""
MAX_UNREAD = 10
"""Repositories of other hosts that are asked about though nothing was read there yet."""


@dataclass(frozen=True, slots=True)
class Need:
    """Another publication that needs a manifest, under the name that it knows its repository by."""

    publication_id: UUID
    account_id: UUID
    slug: str
    image: str
    """Digest of what it publishes, of which the needed manifest is a part or says something."""
    repository: Repository
    registry_name: str | None
    is_leaving: bool
    """Retired so long that it is to be purged too."""
    is_read: bool = True
    """The manifest was read there; before, whoever announced it may know no more of it than its digest."""

    def __str__(self) -> str:
        """Return who it is."""
        return f"publication {self.publication_id} of the platform {self.slug}"


def find_needs(session: Session, step: DeletionStep, *, now: datetime) -> list[Need]:
    """Return who needs this manifest, or what it refers to: of each repository the one that needs it longest.

    Publications of all accounts count, but for those in another repository of the same registry host. A failed one
    counts for as long as a retired one can be restored: it may be retried. At most one more than `MAX_REPOSITORIES`
    where it was read, and of those on other hosts where it was not, `MAX_UNREAD`.
    """
    digests = {step.digest, step.subject}
    naming = select(Publication.id).where(Publication.oci_digest.in_(digests))
    holding = select(Artifact.publication_id).where(Artifact.digest.in_(digests), Artifact.role == "manifest")
    needing = (Publication.id.in_(union(naming, holding)), *_others(step, now))
    was_read = Publication.id.in_(holding) | Publication.status.in_(SETTLED)
    here = parse_repository(step.repository).canonical
    read, unread = (*needing, was_read), (*needing, ~was_read)
    found = [
        *(_longest(session, read, text, now) for text in _find_read(session, read, here)),
        *(_longest(session, unread, text, now, is_read=False) for text in _find_unread(session, unread, here)),
    ]
    return [need for need in found if need is not None]


def _find_read(session: Session, conditions: Sequence[ColumnElement[bool]], here: Repository) -> list[str]:
    """Return the repositories that may be ours; others of its host may be many, and count for nothing."""
    with session.scalars(_repositories(*conditions).execution_options(yield_per=ROWS)) as named:
        possible = (text for text in named if _is(text, here) or _is_of_another_host(text, here))
        return list(islice(possible, MAX_REPOSITORIES + 1))


def _find_unread(session: Session, conditions: Sequence[ColumnElement[bool]], here: Repository) -> list[str]:
    """Return the names of ours among the repositories, and the first ones of other hosts."""
    ours: list[str] = []
    others: list[str] = []
    with session.scalars(_repositories(*conditions).execution_options(yield_per=ROWS)) as named:
        for text in named:
            if _is(text, here):
                ours.append(text)
            elif len(others) < MAX_UNREAD and _is_of_another_host(text, here):
                others.append(text)
    return [*ours, *others]


def _is(text: str, here: Repository) -> bool:
    return parse_repository(text).canonical == here


def _is_of_another_host(text: str, here: Repository) -> bool:
    return parse_repository(text).canonical.host != here.host


def _longest(
    session: Session,
    needing: Sequence[ColumnElement[bool]],
    repository: str,
    now: datetime,
    *,
    is_read: bool = True,
) -> Need | None:
    query = (
        select(Publication, NodePlatform)
        .join(NodePlatform, NodePlatform.id == Publication.node_platform_id)
        .where(*needing, _lies_in([repository]))
        .order_by(Publication.status == Status.RETIRED, Publication.pinned.desc(), Publication.retired_at.desc())
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    # It may have moved or ended since its repository was read: each statement sees what is committed by then.
    return replace(_need(row[0], row[1], repository, now), is_read=is_read) if row is not None else None


def _need(publication: Publication, platform: NodePlatform, named: str, now: datetime) -> Need:
    repository = parse_repository(named)
    return Need(
        publication.id,
        publication.account_id,
        platform.slug,
        publication.oci_digest,
        repository,
        connection_name(platform, repository),
        publication.repository == named and is_due(publication, platform, now),
    )


# What is verified anew in a repository still lies elsewhere until it is published from there. It is needed there
# between two attempts too: until the delivery is finished, there is another attempt.
_moving, _announcing = aliased(Attempt), aliased(Delivery)
_IS_ANNOUNCED = (
    select(_announcing.id)
    .where(
        _announcing.id == _moving.delivery_id,
        _announcing.status.in_((DeliveryStatus.RECEIVED, DeliveryStatus.PROCESSING)),
    )
    .exists()
)
_IS_MOVING: Final = (
    _moving.id == Publication.current_attempt_id,
    _moving.repository.is_not(None),
    _IS_ANNOUNCED,
)


def _lies_in(repositories: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition of publications that lie in one of these repositories, or are verified anew there."""
    moving = select(_moving.id).where(*_IS_MOVING, _moving.repository.in_(repositories)).exists()
    return Publication.repository.in_(repositories) | moving


def _repositories(*conditions: ColumnElement[bool]) -> CompoundSelect[tuple[str]]:
    """Select the repositories, each once, in which publications lie or are verified anew."""
    return union(select(Publication.repository).where(*conditions), _new_repositories(*conditions))


def _new_repositories(*conditions: ColumnElement[bool]) -> Select[tuple[str]]:
    """Select the repositories in which publications are verified anew."""
    joined = select(_moving.repository).select_from(Publication).join(_moving, and_(*_IS_MOVING))
    return cast("Select[tuple[str]]", joined.where(*conditions))  # never null among these


def connection_name(platform: NodePlatform, repository: Repository) -> str | None:
    """Return the name of the connection to a repository of a platform; None if it moved to another host.

    Another name of the same host is another one: connections are found by the host as it was given.
    """
    moved = parse_repository(platform.oci_repository).host != repository.host
    return None if moved else platform.registry_name


def is_due(publication: Publication, platform: NodePlatform, now: datetime) -> bool:
    """Tell whether a publication is to be purged: retired for longer than its grace, and not wanted since."""
    wanted = publication.pinned or platform.default_publication_id == publication.id
    over = publication.retired_at is not None and now - publication.retired_at >= GRACE
    return publication.status == Status.RETIRED and over and not wanted


def find_publication_sharing(
    context: Context, registry: Registry, repository: Repository, step: DeletionStep
) -> str | None:
    """Say which other publication has the same manifest attached, where the manifest does not say whose it is.

    Raises RegistryUnavailable.
    """
    if not step.role.startswith("."):
        return None
    others = _other_manifests(context, step)
    if len(others) > MAX_LOOKED_AT:
        return "it does not say which image it is about, and too many others may have it too"
    for digest in others:
        if _find(registry, repository, f"sha256-{digest_hex(digest)}{step.role}") == step.digest:
            return f"it is attached to {digest} too"
    return None


def _find(registry: Registry, repository: Repository, tag: str) -> str | None:
    try:
        return registry.find_tag(repository, tag)
    except ContentRejected:  # something is there that nobody can read
        return None


def _other_manifests(context: Context, step: DeletionStep) -> list[str]:
    query = (
        select(Publication.oci_digest, Artifact.digest)
        .outerjoin(Artifact, (Artifact.publication_id == Publication.id) & (Artifact.role == "manifest"))
        .where(_lies_in(_spellings(context, step)), *_others(step, context.clock.now()))
        .order_by(Publication.id, Artifact.digest)
    )
    found: dict[str, None] = {}
    with context.catalog.read_session() as session:
        for row in session.execute(query.execution_options(yield_per=ROWS)):
            found.update(dict.fromkeys(digest for digest in row if digest is not None))
            if len(found) > MAX_LOOKED_AT:
                break
    return list(found)


def _spellings(context: Context, step: DeletionStep) -> list[str]:
    """Return the names of repositories that may be the same: of that path, on any host but for known others.

    Whether they are need not be proven: the tag is looked for under our own name.
    """
    here = parse_repository(step.repository).canonical
    path = here.path.removeprefix("library/")
    of_path = f"/{path}"
    lying = select(Publication.repository).where(Publication.repository.endswith(of_path, autoescape=True))
    moving = _new_repositories(_moving.repository.endswith(of_path, autoescape=True))
    with context.catalog.read_session() as session:
        named = session.scalars(union(lying, moving)).all()
    return [text for text in named if parse_repository(text).canonical.path == here.path]


def _others(step: DeletionStep, now: datetime) -> tuple[ColumnElement[bool], ...]:
    recently = (
        select(Attempt.id).where(Attempt.id == Publication.current_attempt_id, Attempt.ended_at > now - GRACE).exists()
    )
    return (
        Publication.id != step.publication_id,
        Publication.status.in_(PROTECTED_STATUSES) | ((Publication.status == Status.FAILED) & recently),
    )
