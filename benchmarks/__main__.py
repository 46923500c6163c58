"""`make bench`: measure, print, and write the table in docs/performance.md."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import ingest

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def main() -> None:
    """Run every benchmark on one stack and write what came out."""
    with tempfile.TemporaryDirectory(prefix="bootpress-bench-") as folder:
        rows = ingest.measure(Path(folder))
    lines = [
        "# Performance",
        "",
        "Ratios of one run on one machine, made by `make bench`; a time alone says little about another machine.",
        "",
        "| what | ours | beside it | ratio | bar |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(f"| {row.what} | {row.ours} | {row.peer} | {row.ratio} | {row.bar} |" for row in rows),
        "",
    ]
    PAGE.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
