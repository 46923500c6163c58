"""`make test` as a whole, once, as a contributor runs it: set-up, checks and every test whose parts are there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.table import Measured, seconds

ROOT = Path(__file__).parents[1]


def measure(folder: Path) -> list[Measured]:
    """Return one row; a suite that fails ends the benchmark, since its time would say nothing."""
    log = folder / "test.log"
    make = shutil.which("make")
    if make is None:
        sys.exit("error: there is no make here")
    # What this benchmark itself was called with is not for the tests.
    environment = {name: value for name, value in os.environ.items() if name not in {"ARGS", "MAKEFLAGS"}}
    begun = time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(
            [make, "test"], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    spent = time.monotonic() - begun
    text = log.read_text()
    if done.returncode != 0:
        sys.exit(f"{text[-4000:]}\nerror: `make test` failed; a time of it would say nothing")
    found = re.findall(r"(\d+ passed(?:, \d+ skipped)?)", text)
    return [Measured(f"`make test` as a whole, {found[-1]}", seconds(spent))]
