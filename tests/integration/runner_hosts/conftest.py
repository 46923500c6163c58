"""A real Docker daemon that has an image of a runner."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.support.docker_daemon import running_daemon
from tests.support.runner_image import make_runner_image

IMAGE = "tests/act_runner:1"


@pytest.fixture(scope="package")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a daemon; return its URL."""
    with running_daemon(tmp_path_factory.mktemp("docker")) as url:
        make_runner_image(url, IMAGE)
        yield url


@pytest.fixture
def client(daemon: str) -> Iterator[docker.APIClient]:
    opened = docker.APIClient(base_url=daemon)
    yield opened
    opened.close()
