"""Whatever outsiders write is read, or refused by an error of ours: in bounded time and memory, and nothing else."""

from __future__ import annotations

import importlib.util
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import planted
from tests.fuzz.mutations import change
from tests.fuzz.session import CORPUS, committed, fuzz
from tests.fuzz.targets import TARGETS, Target
from tests.support import services

ALL = pytest.mark.parametrize("target", list(TARGETS.values()), ids=lambda target: target.name)
# cryptography warns of what it will refuse one day; outsiders' certificates are full of it.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")
HAS_ATHERIS = sys.platform == "linux" and platform.machine() == "x86_64"
"""Elsewhere there are no wheels of it (pyproject.toml), and what needs it has no cases."""
RUNS, SECONDS = 20_000, 3
LARGEST_CPU_SECONDS = 2.0
MEMORY_PER_BYTE = 32


@ALL
def test_what_real_senders_write_is_read(target: Target) -> None:
    assert any(target.check(raw) for raw in target.seeds())


@ALL
def test_the_committed_corpus_does_no_harm(target: Target) -> None:
    for path in committed(target):
        target.check(path.read_bytes())


def test_every_folder_of_the_corpus_is_a_targets() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)


@ALL
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_changed_inputs_are_read_or_refused(target: Target, data: st.DataObject) -> None:
    seeds = target.seeds()
    raw = data.draw(st.sampled_from(seeds), label="seed")
    chance = data.draw(st.randoms(use_true_random=False))
    for _ in range(data.draw(st.integers(1, 3))):
        raw = change(raw, seeds, chance)
    target.check(raw)


@ALL
def test_many_changes_at_random_are_read_or_refused(target: Target) -> None:
    """Hypothesis chooses well and slowly; in the same time plain chance sees ten times as many inputs."""
    chance = Random(target.name)  # noqa: S311 - the same inputs every time
    corpus = target.seeds()
    for _ in range(target.tries):
        raw = change(chance.choice(corpus), corpus, chance)
        try:
            target.check(raw)
        except BaseException as error:
            error.add_note(f"input: {raw!r}")
            raise


SHAPES: dict[str, Callable[[int], bytes]] = {
    "nested lists": lambda size: b"[" * size,
    "nested objects": lambda size: b'{"a":' * (size // 5),
    "closed lists": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "empty lists": lambda size: b"[" + b"[]," * ((size - 4) // 3) + b"[]]",
    "many keys": lambda size: b"{" + b",".join(b'"%d":0' % number for number in range(size // 12)) + b"}",
    "one long text": lambda size: b'"' + b"a" * (size - 2) + b'"',
    "escapes": lambda size: b'"' + b"\\u00e9" * ((size - 2) // 6) + b'"',
    "one long number": lambda size: b"1" * size,
    "zeros": bytes,
    "spaces": lambda size: b" " * size,
    "base64": lambda size: b"A" * (size // 4 * 4),
    "PEM": lambda size: (b"-----BEGIN CERTIFICATE-----\n" * size)[:size],
    "slashes": lambda size: (b"a/" * size)[:size],
    "dashes": lambda size: (b"a--" * size)[:size] + b"!",
    "headers": lambda size: (b'Bearer a="\\' * size)[:size],
}


@pytest.mark.parametrize("shape", list(SHAPES))
@ALL
def test_the_largest_input_that_callers_let_through_is_bounded(target: Target, shape: str) -> None:
    raw = SHAPES[shape](target.largest)
    target.check(b"")  # what is made once is no cost of this input
    tracemalloc.start()
    try:
        target.check(raw)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    begun = time.process_time()
    target.check(raw)
    assert time.process_time() - begun < LARGEST_CPU_SECONDS
    assert peak < 2**20 + MEMORY_PER_BYTE * len(raw)


def require_atheris() -> None:
    if importlib.util.find_spec("atheris") is None:
        services.miss("atheris", "make setup installs it")


@pytest.mark.parametrize("target", list(TARGETS.values()) if HAS_ATHERIS else [], ids=lambda target: target.name)
def test_a_short_search_for_new_paths_finds_no_harm(target: Target, tmp_path: Path) -> None:
    require_atheris()
    outcome = fuzz(target, tmp_path, seconds=SECONDS, runs=RUNS)
    assert outcome.is_clean, outcome.output[-4000:]
    assert outcome.runs > len(target.seeds())
    assert outcome.coverage >= 5


@pytest.mark.parametrize(
    "target", list(planted.TARGETS.values()) if HAS_ATHERIS else [], ids=lambda target: target.name
)
def test_what_is_planted_is_found_and_kept(target: Target, tmp_path: Path) -> None:
    require_atheris()
    # A busy machine takes a second or two for an honest input.
    outcome = fuzz(target, tmp_path, seconds=60, seconds_per_input=8)
    assert not outcome.is_clean
    assert planted.SAID[target.name] in outcome.output
    assert [path.read_bytes()[:1] for path in outcome.crashes] == [b"!"]
