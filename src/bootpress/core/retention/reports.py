"""What a sweep did, bounded: counts are whole, and of what they count the first are listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

from bootpress.core.retention.unreachable import last

MAX_LISTED = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """A publication of which something is still there, and why."""

    publication_id: UUID
    because: str


@dataclass(frozen=True, slots=True)
class Untried:
    """Publications of one platform that are due at a registry which gave no answer in this run."""

    platform_id: UUID
    host: str
    count: int
    because: str


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep did; of each kind the first are listed, and `unlisted` says how many more there were."""

    retired: tuple[UUID, ...] = ()
    purged: tuple[UUID, ...] = ()
    kept: tuple[Kept, ...] = ()
    failed: tuple[Kept, ...] = ()
    """Those whose purge met an error; the next sweep goes on with it."""
    untried: tuple[Untried, ...] = ()
    """Those that were left to the next sweep, by platform and host."""
    unlisted: dict[str, int] = field(default_factory=dict)
    """How many more there were than are listed, by the name of the list."""
    unreachable: dict[str, str] = field(default_factory=dict)
    """Registries that gave no answer, and why: what the next task of the run begins with."""

    @classmethod
    def merge(cls, reports: Sequence[SweepReport]) -> Self:
        """Put the reports of several platforms together."""
        unlisted: dict[str, int] = {}
        lists = {name: _join(reports, name, unlisted) for name in ("retired", "purged", "kept", "failed", "untried")}
        unreachable = {place: why for report in reports for place, why in report.unreachable.items()}
        return cls(**lists, unlisted=unlisted, unreachable=last(unreachable))

    def count(self, name: str) -> int:
        """Return how many there are of a kind, listed or not."""
        return len(getattr(self, name)) + self.unlisted.get(name, 0)

    @property
    def left_count(self) -> int:
        """Return how many could not be purged, or were not tried."""
        return self.count("failed") + sum(one.count for one in self.untried)


def _join(reports: Iterable[SweepReport], name: str, unlisted: dict[str, int]) -> tuple[Any, ...]:
    found: list[Any] = []
    for report in reports:
        listed = getattr(report, name)
        room = MAX_LISTED - len(found)
        found += listed[:room]
        more = report.unlisted.get(name, 0) + len(listed[room:])
        if more:
            unlisted[name] = unlisted.get(name, 0) + more
    return tuple(found)
