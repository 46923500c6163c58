"""The demo's builds by the forge, where something is missing; that they hold where nothing is, e2e/test_demo says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bootpress.adapters.oci import OciRegistries
from bootpress.core.errors import InvalidInput
from bootpress.core.workers.signing_keys import create_key_pair
from bootpress.stack.demo.context import DemoContext, DemoFailed
from bootpress.stack.demo.forge_build import run_forge_build
from bootpress.stack.errors import StackFailed
from bootpress.stack.sample_build import build

GIVEN = {
    "INPUT_PLATFORM_SLUG": "demo-amd64",
    "GITHUB_SHA": "1" * 40,
    "GITHUB_RUN_ID": "1",
    "GITHUB_REPOSITORY": "os/disk-images",
    "GITHUB_REF_NAME": "main",
    "POWERNODE_OCI_REGISTRY": "127.0.0.1:1",
    "POWERNODE_DISK_IMAGE_WEBHOOK_URL": "http://127.0.0.1:1/bell",
    "POWERNODE_DISK_IMAGE_WEBHOOK_SECRET": "secret of the bell",
}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoContext]:
    """Return a stage on which nothing can be called, on a machine without programs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with closing(OciRegistries()) as registries:
        yield DemoContext(Console(file=StringIO(), width=200), tmp_path, {}, tmp_path, registries)


def test_without_git_the_builds_by_the_forge_are_left_out_by_name(
    stage: DemoContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "")
    run_forge_build(stage, "a platform")
    assert isinstance(stage.console.file, StringIO)
    assert stage.console.file.getvalue() == (
        "- builds by the forge are left out: git is not installed (apt install git)\n"
    )


def test_in_ci_nothing_is_left_out(stage: DemoContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(DemoFailed, match="git, which is not installed") as caught:
        run_forge_build(stage, "a platform")
    assert caught.value.hint == "apt install git"


@pytest.mark.parametrize("name", [*GIVEN, "COSIGN_PRIVATE_KEY"])
def test_a_build_names_what_it_was_not_given(name: str) -> None:
    pair = create_key_pair() if name != "COSIGN_PRIVATE_KEY" else None
    given = {**GIVEN, "COSIGN_PRIVATE_KEY": pair.private_pem, "COSIGN_PASSWORD": pair.password} if pair else GIVEN
    with pytest.raises(StackFailed, match=f"^{name} is empty"):
        build({**given, name: ""})


def test_a_build_with_another_password_signs_nothing() -> None:
    pair = create_key_pair()
    with pytest.raises(InvalidInput, match="does not open with this password") as caught:
        build({**GIVEN, "COSIGN_PRIVATE_KEY": pair.private_pem, "COSIGN_PASSWORD": "not it"})
    assert "not it" not in str(caught.value)
