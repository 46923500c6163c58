"""What becomes of real containers when a runner is provisioned and does not work out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import docker
import pytest

from bootpress.adapters.runner_hosts import DockerHosts
from bootpress.core.errors import RunnerHostRefused, RunnerHostUnavailable
from tests.integration.runner_hosts.conftest import IMAGE
from tests.support.core_harness import CoreHarness
from tests.support.runner_harness import RunnerHarness


@pytest.fixture
def yard(daemon: str, tmp_path: Path) -> RunnerHarness:
    """Return a bootstrapped pipeline, whose forge is in memory, beside a real Docker host."""
    world = CoreHarness(f"sqlite:///{tmp_path / 'catalog.db'}")
    yard = RunnerHarness(world)
    limits = replace(world.context.limits, runner_seconds=2.0, saga_seconds=60.0)
    world.context = replace(world.context, runner_hosts=DockerHosts(daemon), runner_image=IMAGE, limits=limits)
    yard.call()
    return yard


def test_a_container_that_does_not_reach_the_forge_is_removed_and_what_it_said_is_told(
    yard: RunnerHarness, client: docker.APIClient
) -> None:
    with pytest.raises(RunnerHostRefused, match="did not come online") as caught:
        yard.provision()
    assert "the end of its log: Cannot ping the Gitea instance server" in caught.value.message
    assert "registers-at" not in caught.value.message
    assert client.containers(all=True) == []
    assert not client.volumes()["Volumes"]
    assert (yard.workers()[0].container_id, yard.workers()[0].labels) == (None, [])
    yard.world.catalog.close()


def test_an_image_that_is_nowhere_leaves_no_worker_and_no_container(
    yard: RunnerHarness, client: docker.APIClient
) -> None:
    image = "127.0.0.1:1/act_runner:none"
    yard.world.context = replace(yard.world.context, runner_image=image)
    with pytest.raises((RunnerHostRefused, RunnerHostUnavailable), match=image) as caught:
        yard.provision("edge-2")
    assert "BOOTPRESS_RUNNER_IMAGE" in str(caught.value.hint)
    assert client.containers(all=True) == []
    assert [one.label for one in yard.workers()] == ["edge-builder"]
    yard.world.catalog.close()
