"""Gitea of two versions, the embedded forge, and the fake that other tests use in their place pass the same tests."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bootpress.adapters.forges.embedded import ForgeLayout
from bootpress.adapters.forges.gitea import GiteaForge
from bootpress.core.ports import Forge, GitRepository, RunStatus
from tests.support.conformance_forge import SAYS, ForgeConformance, ForgeUnderTest
from tests.support.embedded_forge import EmbeddedForgeHarness, eventually, kept
from tests.support.fake_forge import FakeForge
from tests.support.gitea import Gitea
from tests.support.stub_runner import StubRunner

_numbers = itertools.count(1)


class Named:
    """Names repositories."""

    forge: Forge
    cancels_runs = False

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self.repository = self.name_another()

    def name_another(self) -> GitRepository:
        return GitRepository(self._owner, f"disk-images-{next(_numbers)}")


class GiteaSite(Named):
    def __init__(self, gitea: Gitea) -> None:
        super().__init__(gitea.user)
        self._gitea = gitea
        self.forge = GiteaForge(gitea.url, gitea.token)

    def add_tag(self, repository: GitRepository, name: str) -> None:
        self._gitea.call("POST", f"/repos/{repository}/tags", {"tag_name": name, "target": "main"})

    def disable_actions(self, repository: GitRepository) -> None:
        self._gitea.call("PATCH", f"/repos/{repository}", {"has_actions": False})

    def inputs_of(self, repository: GitRepository, run_id: str) -> Mapping[str, str]:
        """Read its database: the API shows of a dispatch's inputs none."""
        database = self._gitea.program.log.parent / "gitea.db"
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
            ((payload,),) = connection.execute("select event_payload from action_run where id = ?", [int(run_id)])
        inputs: dict[str, str] = json.loads(payload)["inputs"]
        return inputs

    def run_jobs(self, repository: GitRepository) -> None:
        StubRunner(self._gitea.url, self.forge.registration_token(repository)).run_all([SAYS])


class LocalSite(Named):
    cancels_runs = True

    def __init__(self, embedded: EmbeddedForgeHarness) -> None:
        super().__init__("keeper")
        self._embedded = embedded
        self.forge = embedded.forge

    @property
    def _places(self) -> ForgeLayout:
        return self._embedded.places

    def add_tag(self, repository: GitRepository, name: str) -> None:
        self._embedded.git("tag", name, cwd=self._places.repository(repository))

    def disable_actions(self, repository: GitRepository) -> None:
        folder = self._places.settings(repository)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "actions_disabled").touch()

    def inputs_of(self, repository: GitRepository, run_id: str) -> Mapping[str, str]:
        document: dict[str, Any] = json.loads((self._places.runs / run_id / "run.json").read_text())
        inputs: dict[str, str] = document["inputs"]
        return inputs

    def run_jobs(self, repository: GitRepository) -> None:
        def are_over() -> bool:
            return all(run.status is RunStatus.COMPLETED for run in self.forge.list_runs(repository))

        with kept(self._embedded):
            eventually(are_over, what="the end of every run")


class FakeSite(Named):
    def __init__(self, fake: FakeForge) -> None:
        super().__init__("keeper")
        self._fake = fake
        self.forge = fake

    def add_tag(self, repository: GitRepository, name: str) -> None:
        self._fake.add_tag(repository, name)

    def disable_actions(self, repository: GitRepository) -> None:
        self._fake.disable_actions(repository)

    def inputs_of(self, repository: GitRepository, run_id: str) -> Mapping[str, str]:
        return self._fake.repositories[repository].inputs[run_id]

    def run_jobs(self, repository: GitRepository) -> None:
        self._fake.run_jobs(repository, log=SAYS.encode())


class TestGitea126(ForgeConformance):
    @pytest.fixture
    def site(self, open_gitea: Callable[[str], Gitea]) -> ForgeUnderTest:
        return GiteaSite(open_gitea("126"))


class TestGitea125(ForgeConformance):
    @pytest.fixture
    def site(self, open_gitea: Callable[[str], Gitea]) -> ForgeUnderTest:
        return GiteaSite(open_gitea("125"))


class TestTheEmbeddedForge(ForgeConformance):
    @pytest.fixture
    def site(self, tmp_path: Path) -> ForgeUnderTest:
        return LocalSite(EmbeddedForgeHarness(tmp_path / "forge"))


class TestTheFake(ForgeConformance):
    @pytest.fixture
    def site(self) -> ForgeUnderTest:
        return FakeSite(FakeForge())
