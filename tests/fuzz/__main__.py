"""The long budget: `make fuzz ARGS="[target|all] [seconds]"`, or one input again: `--input FILE`."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from tests.fuzz.session import fuzz
from tests.fuzz.targets import TARGETS, Target
from tools.shell import CACHE

FOLDER = CACHE / "fuzz"
_SHOWN_LINES = 40


def main() -> int:
    """Fuzz the targets that were asked for; return 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Fuzz what reads outsiders' bytes.")
    parser.add_argument("target", nargs="?", default="all", choices=["all", *TARGETS])
    parser.add_argument("seconds", nargs="?", type=int, default=600, help="for each target")
    parser.add_argument("--input", type=Path, help="a file to give to the target once, instead of fuzzing")
    asked = parser.parse_args()
    if asked.input:
        was_read = TARGETS[asked.target].check(asked.input.read_bytes())
        _say("read" if was_read else "refused, as it should be")
        return 0
    if importlib.util.find_spec("atheris") is None:
        _say("atheris is not installed; it has wheels for Linux on x86-64 only")
        return 1
    chosen = list(TARGETS.values()) if asked.target == "all" else [TARGETS[asked.target]]
    return max([_fuzz(target, asked.seconds) for target in chosen])


def _fuzz(target: Target, seconds: int) -> int:
    folder = FOLDER / target.name
    outcome = fuzz(target, folder, seconds=seconds)
    _say(f"{target.name}: {outcome.runs} runs, {outcome.coverage} edges; corpus in {folder / 'corpus'}")
    if outcome.is_clean:
        return 0
    _say(*outcome.output.splitlines()[-_SHOWN_LINES:])
    for path in outcome.crashes:
        _say(f"found: {path}", f"  again: .venv/bin/python -m tests.fuzz {target.name} --input {path}")
    return 1


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
