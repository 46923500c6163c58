"""The table of docs/performance.md: one row per measurement, beside what it is measured against."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """One row; what has no peer has neither ratio nor bar."""

    what: str
    ours: str
    peer: str = ""
    ratio: str = ""
    bar: str = ""


def faster(what: str, ours: float, peer: float, *, beside: str, bar: float) -> Measured:
    """Compare two times in seconds: how many times faster ours is."""
    return Measured(what, seconds(ours), f"{seconds(peer)} {beside}", f"{peer / ours:.1f}x faster", f"{bar:g}x")


def share(what: str, ours: float, peer: float, *, beside: str, bar: float) -> Measured:
    """Compare two times in seconds: ours as a part of the other's, which must not pass the bar."""
    return Measured(what, seconds(ours), f"{seconds(peer)} {beside}", f"{ours / peer:.2f}", f"≤ {bar:g}")


def seconds(value: float) -> str:
    """Write a time as a person reads it."""
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"


def render(rows: Iterable[Measured]) -> str:
    """Write rows as a Markdown table."""
    lines = ["| what | ours | beside it | ratio | bar |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [f"| {row.what} | {row.ours} | {row.peer} | {row.ratio} | {row.bar} |" for row in rows]
    return "\n".join(lines)
