"""`make vectors`: what is recorded anew from the live services has the cases and the verdicts of what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.record_vectors import is_accepted
from tests.support.registry import running_registry
from tests.support.sigstore_live import Sigstore
from tests.support.vector_recorder import CASES, VectorRecorder, record
from tests.support.vectors import VECTORS, Vector, load_vectors

pytestmark = [pytest.mark.part("cosign2"), pytest.mark.part("cosign3"), pytest.mark.part("docker-registry")]


@pytest.fixture(scope="module")
def recorded(sigstore: Sigstore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Vector]:
    """Record all cases once."""
    folder = tmp_path_factory.mktemp("vectors")
    with running_registry(tmp_path_factory.mktemp("registry")) as host:
        record(folder, VectorRecorder(sigstore, host, tmp_path_factory.mktemp("studio")))
    return load_vectors(folder)


@pytest.mark.parametrize("name", CASES)
def test_a_fresh_vector_gives_its_expected_result(recorded: dict[str, Vector], name: str) -> None:
    assert is_accepted(recorded[name]) is recorded[name].is_good is (CASES[name].expect == "ok")


def test_a_fresh_recording_has_the_cases_that_are_kept(recorded: dict[str, Vector]) -> None:
    assert list(recorded) == list(load_vectors())
    assert told(next(iter(recorded.values())).path.parent) == told(VECTORS)


@pytest.mark.parametrize("name", CASES)
def test_a_fresh_vector_has_the_tags_and_formats_of_the_one_that_is_kept(
    recorded: dict[str, Vector], name: str
) -> None:
    fresh, kept = recorded[name].open(), load_vectors()[name].open()
    assert sorted(tag[-4:] for tag in fresh.tags if tag.endswith(".sig")) == sorted(
        tag[-4:] for tag in kept.tags if tag.endswith(".sig")
    )
    assert len(fresh.tags) == len(kept.tags)
    assert len(fresh.blobs) == len(kept.blobs)


def told(folder: Path) -> dict[str, tuple[str, str, str, tuple[str, ...]]]:
    """Read what a folder's cases.json says that does not change from one recording to the next."""
    cases = json.loads((folder / "cases.json").read_bytes())
    return {
        name: (case["expect"], case["why"], case["trust"]["mode"], tuple(case["trust"].get("public_keys", ())))
        for name, case in cases.items()
    }
