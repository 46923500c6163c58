"""Retention rules: what a platform keeps, retires and purges; pure (docs/reference/contract.md#keeping-images)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from bootpress.core.publications.states import PublicationStatus as Status

GRACE = timedelta(days=7)
"""How long a retired publication can still be restored."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the plan needs to know of a publication."""

    id: UUID
    status: Status
    published_at: datetime | None
    retired_at: datetime | None
    pinned: bool
    sequence: int = 0
    """The order in which it was published; 0 where only the time is known."""


@dataclass(frozen=True, slots=True)
class Protected:
    """A publication that is kept beyond the count, and why."""

    publication_id: UUID
    because: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a sweep does with each publication of a platform."""

    keep: tuple[UUID, ...]
    retire: tuple[UUID, ...]
    purge: tuple[UUID, ...]
    protected: tuple[Protected, ...]


def plan(
    candidates: Sequence[Candidate],
    *,
    retention_count: int,
    default_id: UUID | None,
    in_use: Collection[UUID],
    now: datetime,
) -> Plan:
    """Keep the `retention_count` published last, by sequence and then by time; default, pinned and in-use ones besides.

    A retired one is purged when its grace is over; what is protected is neither retired nor purged.
    """

    def reason(candidate: Candidate) -> str | None:
        if candidate.id == default_id:
            return "default"
        if candidate.pinned:
            return "pinned"
        return "in use" if candidate.id in in_use else None

    published = [one for one in candidates if one.status == Status.PUBLISHED and one.published_at is not None]
    published.sort(key=lambda one: (one.sequence, one.published_at or now, one.id), reverse=True)
    newest, older = published[:retention_count], published[retention_count:]
    expired = [
        one
        for one in candidates
        if one.status == Status.RETIRED and one.retired_at is not None and now - one.retired_at >= GRACE
    ]
    expired.sort(key=lambda one: (one.retired_at or now, one.id))
    held = {one.id: reason(one) for one in [*older, *expired]}
    return Plan(
        keep=tuple(one.id for one in newest),
        retire=tuple(one.id for one in older if held[one.id] is None),
        purge=tuple(one.id for one in expired if held[one.id] is None),
        protected=tuple(Protected(one, because) for one, because in held.items() if because is not None),
    )
