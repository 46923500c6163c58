"""What we read of a prefect.yaml, and what we refuse to pass over."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootpress.adapters.prefect_api.deployments import read_prefect_file
from bootpress.core.errors import InvalidInput
from tests.support.prefect_worker import PROJECT, SAMPLE

SMALL = """
name: small
deployments:
  - name: one
    entrypoint: package.module.flow
    work_pool: {name: pool}
"""


def read(folder: Path, text: str) -> list[str]:
    file = folder / "prefect.yaml"
    file.write_text(text)
    return [deployment.name for deployment in read_prefect_file(file).deployments]


def test_a_small_file_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, SMALL) == ["one"]


@pytest.mark.parametrize("file", [PROJECT, SAMPLE])
def test_our_own_files_are_read(file: Path) -> None:
    assert read_prefect_file(file).deployments


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("    concurrency_limit: 1\n", "concurrency_limit"),
        ("    triggers: []\n", "triggers"),
        ("    schedules: [{interval: 60}]\n", "interval"),
        ("pull: [{git_clone: {}}]\n", "pull"),
        ("build: [{run: {}}]\n", "build"),
        ("definitions: {work_pools: {pool: {type: resident, limit: 3}}}\n", "limit"),
    ],
)
def test_a_key_that_would_be_passed_over_is_refused_by_name(tmp_path: Path, written: str, named: str) -> None:
    with pytest.raises(InvalidInput, match=named):
        read(tmp_path, SMALL + written)


def test_what_is_not_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"prefect.yaml cannot be applied"):
        read(tmp_path, "name: [")
