"""The table of docs/performance.md: one row per measurement, beside what it is measured against and its bar."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """What a value must reach; both ends count as reached, and a value that is no number never does."""

    text: str
    """As the table shows it."""
    least: float = -math.inf
    most: float = math.inf

    def holds(self, value: float) -> bool:
        """Tell whether a value reaches the bar."""
        return self.least <= value <= self.most


def at_least(value: float, unit: str = "") -> Target:
    """Return the bar that no less than a value reaches."""
    return Target(f"≥ {value:g}{unit}", least=value)


def at_most(value: float, unit: str = "") -> Target:
    """Return the bar that no more than a value reaches."""
    return Target(f"≤ {value:g}{unit}", most=value)


def around(value: float, *, by: float) -> Target:
    """Return the bar that values near one reach."""
    return Target(f"{value:g} ± {by:g}", least=value - by, most=value + by)


@dataclass(frozen=True, slots=True)
class Measured:
    """One row; what has a bar has the value that is held against it."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    bar: Target | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        if (self.bar is None) != (self.value is None):
            raise ValueError(f"{self.what}: a bar and the value that is held against it come together")

    @property
    def is_missed(self) -> bool:
        """Tell whether there is a bar that the value does not reach."""
        return self.bar is not None and self.value is not None and not self.bar.holds(self.value)


def faster(what: str, ours: float, peer: float, *, beside: str, bar: float) -> Measured:
    """Compare two times in seconds: how many times faster ours is."""
    ratio = peer / ours
    least = at_least(bar, "x")
    return Measured(what, seconds(ours), f"{seconds(peer)} {beside}", f"{ratio:.1f}x faster", least, ratio)


def share(what: str, ours: float, peer: float, *, beside: str, bar: float | None = None) -> Measured:
    """Compare two times in seconds: ours as a part of the other's, which must not pass the bar if there is one."""
    ratio = ours / peer
    shown = (what, seconds(ours), f"{seconds(peer)} {beside}", f"{ratio:.2f}")
    return Measured(*shown) if bar is None else Measured(*shown, at_most(bar), ratio)


def seconds(value: float) -> str:
    """Write a time as a person reads it."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"


def render(rows: Iterable[Measured]) -> str:
    """Write rows as a Markdown table."""
    lines = ["| what | ours | beside it | ratio | bar |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {r.what} | {r.ours} | {r.peer} | {r.ratio} | {r.bar.text if r.bar else ''} |" for r in rows]
    return "\n".join(lines)


def missed(rows: Iterable[Measured]) -> list[str]:
    """Say of each row that misses its bar by how much, and of no other."""
    return [f"{r.what}: {r.value:.4g}, but the bar is {r.bar.text}" for r in rows if r.bar and r.is_missed]
