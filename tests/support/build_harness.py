"""A world with a build repository on a fake forge, and what tests of builds do again and again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from bootpress.core.builds import callbacks
from bootpress.core.builds.callbacks import NextStep
from bootpress.core.builds.models import Build
from bootpress.core.deliveries import attempts
from bootpress.core.errors import ForgeOutcomeUnknown
from bootpress.core.ports import GitRepository
from tests.support.core_harness import REPOSITORY, CoreHarness
from tests.support.fake_forge import WORKFLOWS, FakeForge

REPO = GitRepository("acme", "disk-images")
WORKFLOW = "build-disk-image.yml"
SOURCE = b"""
name: Build disk image
on:
  workflow_dispatch:
    inputs:
      platform_slug: {type: string}
      dispatch_id: {type: string, required: false}
  push:
    tags: ['v*']
jobs:
  build: {runs-on: disk-image-builder, steps: [{run: "true"}]}
"""


class BuildHarness:
    """An operator's view of a world whose account has a forge with one build repository."""

    def __init__(self, world: CoreHarness) -> None:
        self.world = world
        self.forge: FakeForge = world.forges.forge
        world.call("system_connect_forge", kind="gitea", url="https://forge.example", token="t0ken")
        self.forge.create_repository(REPO)
        self.files[WORKFLOWS + WORKFLOW] = SOURCE
        self.forge.calls.clear()

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the repository."""
        return self.forge.repositories[REPO].files

    def dispatch(self, **fields: Any) -> dict[str, Any]:
        """Dispatch the workflow for the platform `edge`; return the answer."""
        given = {"repo": str(REPO), "workflow": WORKFLOW, "inputs": {"platform_slug": "edge"}, **fields}
        return self.world.call("dispatch_gitea_workflow", **given)

    def lose_answer(self) -> Build:
        """Dispatch a build whose forge never answers; return the build."""
        self.forge.fail_at, self.forge.fail_with = ["dispatch"], ForgeOutcomeUnknown("the fake forge fell silent")
        with pytest.raises(ForgeOutcomeUnknown, match=r"not known.*system_list_disk_image_builds"):
            self.dispatch()
        [build] = self.builds()
        return build

    def build(self, build_id: UUID | str) -> Build:
        """Return the row of a build."""
        with self.world.catalog.read_session() as session:
            return session.get_one(Build, UUID(str(build_id)))

    def builds(self) -> list[Build]:
        """Return all builds, oldest first."""
        with self.world.catalog.read_session() as session:
            return list(session.scalars(select(Build).order_by(Build.created_at)))

    def sleeping(self, **fields: Any) -> Build:
        """Dispatch a build, and let its flow run look and go to sleep; return the build."""
        build = self.build(self.dispatch(**fields)["build_id"])
        assert build.flow_run_id is not None
        assert self.look(build).attempt_id is None
        self.world.launcher.waiting.add(build.flow_run_id)
        return build

    def look(self, build: Build) -> NextStep:
        """Look as the build's own flow run does."""
        return callbacks.next_step(self.world.context, build.id, flow_run_id=self.build(build.id).flow_run_id)

    def call_back(self, build: Build, **body: Any) -> UUID:
        """Announce a new image as the template's workflow does; return the delivery."""
        given = {"dispatch_id": build.dispatch_id, "run_id": build.run_id, "git_sha": build.head_sha, **body}
        digest = given.pop("digest", None) or self.world.images.image()
        return self.world.announce(ref=f"{REPOSITORY}@{digest}", **given)

    def wake_up(self, build: Build) -> str:
        """Do what a flow run does that was woken: look, take up what it was given, and work."""
        outlook = self.look(build)
        assert outlook.delivery_id is not None
        assert outlook.attempt_id is not None
        run_id = self.build(build.id).flow_run_id
        return self.world.work(
            attempts.start(self.world.context, outlook.delivery_id, attempt_id=outlook.attempt_id, flow_run_id=run_id)
        )
