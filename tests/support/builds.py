"""A world with a build repository on a fake forge, and what tests of builds do again and again."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select

from bootpress.core.builds.models import Build
from bootpress.core.ports import GitRepository
from tests.support.core_world import World
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


class Foundry:
    """An operator's view of a world whose account has a forge with one build repository."""

    def __init__(self, world: World) -> None:
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

    def build(self, build_id: UUID | str) -> Build:
        """Return the row of a build."""
        with self.world.catalog.reading() as session:
            return session.get_one(Build, UUID(str(build_id)))

    def builds(self) -> list[Build]:
        """Return all builds, oldest first."""
        with self.world.catalog.reading() as session:
            return list(session.scalars(select(Build).order_by(Build.created_at)))
