"""One libFuzzer process: `python -m tests.fuzz.worker TARGET [libFuzzer's options and folders]`.

Only our own code and sigstore's are instrumented: coverage is then that of the branches that decide on trust, and a run
is fast.
"""

from __future__ import annotations

import logging
import sys
import warnings
from random import Random

import atheris

with atheris.instrument_imports(include=["bootpress", "sigstore", "sigstore_models"]):
    from tests.fuzz import planted, targets

from tests.fuzz.mutations import change


def main() -> None:
    """Fuzz until a bound of libFuzzer's is reached, or something is found."""
    logging.disable()
    warnings.simplefilter("ignore")
    target = (targets.TARGETS | planted.TARGETS)[sys.argv[1]]
    seeds = target.seeds()

    def mutate(raw: bytes, max_size: int, seed: int) -> bytes:
        chance = Random(seed)  # noqa: S311 - chance that can be repeated is what is wanted
        changed = change(raw, seeds, chance) if chance.random() < 0.8 else atheris.Mutate(raw, max_size)
        return bytes(changed[:max_size])

    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.check, custom_mutator=mutate)
    atheris.Fuzz()


main()
