"""`make bench`: measure, print, and write the table in docs/performance.md.

`make bench ARGS="signatures blobs"` measures only these, and prints them. Both end with the rows that miss their bars,
and as a failure if there are any.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import accepts, blobs, fairness, forge, ingest, shares, signatures, suite, sweeps, timing
from benchmarks.pipeline import Pipeline
from benchmarks.table import Measured, missed, render, seconds
from tests.support.running_stack import running_stack

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
INTRODUCTION = """# Performance

Ratios of one run on one machine, made by `make bench`; a time alone says little about another machine. What is measured
in turn with its peer shares the machine's moods with it. Rows that begin with … are the parts of a row above them, and
together the whole of it.
"""


def stack(folder: Path) -> list[Measured]:
    """Measure what needs a running stack, all on one."""
    begun = time.monotonic()
    with running_stack(folder / "home") as running:
        ready = Measured("`bootpress up` to `ready`, in a new home", seconds(time.monotonic() - begun))
        pipeline = Pipeline(running, folder)
        return [ready, *ingest.measure(pipeline, folder), *shares.measure(pipeline)]


def fair(folder: Path) -> list[Measured]:
    """Measure what accounts feel of each other, on a stack of its own."""
    with running_stack(folder / "home") as running:
        return fairness.measure(running, folder)


BENCHMARKS: dict[str, Callable[[Path], Sequence[Measured]]] = {
    "stack": stack,
    "fairness": fair,
    "accepts": accepts.measure,
    "blobs": blobs.measure,
    "signatures": signatures.measure,
    "forge": forge.measure,
    "sweeps": sweeps.measure,
    "timing": timing.measure,
    "suite": suite.measure,
}


def main(names: Sequence[str]) -> int:
    """Run the benchmarks of these names, or all; return 1 if a row misses its bar.

    All of them together are written to the page, rows that miss their bars too.
    """
    unknown = set(names) - BENCHMARKS.keys()
    if unknown:
        sys.exit(f"error: no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    rows: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="bootpress-bench-") as scratch:
        for name in names or BENCHMARKS:
            folder = Path(scratch) / name
            folder.mkdir()
            found = BENCHMARKS[name](folder)
            print(render(found), flush=True)  # what comes later takes minutes, and may fail
            rows += found
    if not names:
        PAGE.write_text(f"{INTRODUCTION}\n{render(rows)}\n")
        print(f"written to {PAGE.relative_to(PAGE.parents[1])}")
    return conclude(rows)


def conclude(rows: Sequence[Measured]) -> int:
    """Say which bars are missed; return the exit code."""
    failures = missed(rows)
    for failure in failures:
        print(f"missed: {failure}", file=sys.stderr)
    if not failures:
        print(f"every bar is reached: {sum(row.bar is not None for row in rows)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
