"""Run atheris on one target, in a process of its own, within bounds of time and memory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import Target

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "assets" / "corpus"
"""Inputs that once did harm or could have, a folder per target."""
SECONDS_PER_INPUT = 10
MEGABYTES = 1024
"""Of the whole process; Python with what it imports has a fifth of it."""
_GRACE_SECONDS = 120
_LONGEST_INPUT = 64 * 1024
_FORGET_PEAK = ("sh", "-c", '"$@"; exit $?', "sh")
"""Linux counts the peak memory of whoever calls exec as the new program's own, and libFuzzer limits that count: the
shell between forks from its own small memory."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one session did."""

    output: str
    is_clean: bool
    runs: int
    coverage: int
    """Edges of our own code that were reached."""
    crashes: list[Path]
    """Inputs that made it fail."""


def fuzz(
    target: Target,
    folder: Path,
    *,
    seconds: int,
    runs: int = -1,
    seconds_per_input: int = SECONDS_PER_INPUT,
    megabytes: int = MEGABYTES,
) -> Outcome:
    """Fuzz until the seconds or the runs are over (-1: no bound), or something is found.

    `folder` keeps what was found to reach new code in `corpus`, so that the next session goes on from it, and inputs
    that fail in `crashes`.
    """
    corpus, crashes = folder / "corpus", folder / "crashes"
    for path in (corpus, crashes):
        path.mkdir(parents=True, exist_ok=True)
    _plant_seeds(target, corpus)
    before = set(crashes.iterdir())
    options = (
        f"-max_total_time={seconds}",
        f"-runs={runs}",
        f"-timeout={seconds_per_input}",
        f"-rss_limit_mb={megabytes}",
        f"-max_len={min(target.largest, _LONGEST_INPUT)}",
        f"-artifact_prefix={crashes}{os.sep}",
        "-print_final_stats=1",
    )
    done = subprocess.run(
        [*_FORGET_PEAK, sys.executable, "-m", "tests.fuzz.worker", target.name, *options, str(corpus)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=seconds + _GRACE_SECONDS,
        check=False,
    )
    output = done.stdout.decode(errors="replace")
    return Outcome(
        output,
        is_clean=done.returncode == 0,
        runs=_last(r"number_of_executed_units: (\d+)", output),
        coverage=_last(r"\bcov: (\d+)", output),
        crashes=sorted(set(crashes.iterdir()) - before),
    )


def committed(target: Target) -> list[Path]:
    """Return the inputs of the committed corpus for a target."""
    folder = CORPUS / target.name
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _plant_seeds(target: Target, corpus: Path) -> None:
    for number, raw in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(raw)
    for path in committed(target):
        (corpus / f"committed-{path.name}").write_bytes(path.read_bytes())


def _last(pattern: str, output: str) -> int:
    found = re.findall(pattern, output)
    return int(found[-1]) if found else 0
