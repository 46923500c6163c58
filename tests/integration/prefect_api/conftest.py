"""One Prefect server for all tests of this folder, and one worker on the pool `sample`."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpress.adapters.prefect_api.api import PrefectApi
from bootpress.adapters.prefect_api.deployments import deploy
from tests.support.prefect_server import PrefectServer
from tests.support.prefect_worker import PROJECT, SAMPLE, resident_worker
from tests.support.processes import Program


@pytest.fixture(scope="session")
def server(prefect: PrefectServer) -> PrefectServer:
    return prefect


@pytest.fixture(scope="session")
def api(server: PrefectServer) -> Iterator[PrefectApi]:
    client = PrefectApi(server.api_url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def deployed(api: PrefectApi) -> list[str]:
    """Deploy the sample flows."""
    return deploy(SAMPLE, api)


@pytest.fixture(scope="session")
def worker(server: PrefectServer, deployed: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    assert "hello/sample" in deployed
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    with resident_worker(server, log, pool="sample", name="sample-worker") as running:
        yield running


@pytest.fixture
def pool(api: PrefectApi, tmp_path: Path) -> str:
    """Deploy the sample flows once more, to a work pool of the test's own; return its and their name."""
    name = f"pool-{uuid.uuid4().hex[:8]}"
    file = tmp_path / "prefect.yaml"
    text = SAMPLE.read_text()
    for written in ("name: sample", "    sample:", "every-minute-sample"):
        text = text.replace(written, written.replace("sample", name))
    file.write_text(text)
    deploy(file, api)
    return name


@pytest.fixture(scope="session")
def project(api: PrefectApi) -> list[str]:
    """Deploy what prefect.yaml says."""
    return deploy(PROJECT, api)
