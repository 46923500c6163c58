"""One Prefect server for all tests of this folder, and one worker on the pool `sample`."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpress.adapters.orchestrator.api import PrefectApi
from tests.support.prefect_server import PrefectServer, prefect_server
from tests.support.prefect_worker import ROOT, resident_worker
from tests.support.processes import Program

SAMPLE = ROOT / "tests" / "support" / "sample_prefect.yaml"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with prefect_server(tmp_path_factory.mktemp("prefect")) as running:
        yield running


@pytest.fixture(scope="session")
def api(server: PrefectServer) -> Iterator[PrefectApi]:
    client = PrefectApi(server.api_url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def deployed(server: PrefectServer) -> list[str]:
    """Deploy the sample flows, in a process of its own: it imports them, and reads the server's environment."""
    return deploy(server, SAMPLE)


@pytest.fixture(scope="session")
def worker(server: PrefectServer, deployed: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    assert "hello/sample" in deployed
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    with resident_worker(server, log, pool="sample", name="sample-worker") as running:
        yield running


@pytest.fixture
def pool(server: PrefectServer, tmp_path: Path) -> str:
    """Deploy the sample flows once more, to a work pool of the test's own; return its and their name."""
    name = f"pool-{uuid.uuid4().hex[:8]}"
    file = tmp_path / "prefect.yaml"
    text = SAMPLE.read_text()
    for written in ("name: sample", "    sample:", "every-minute-sample"):
        text = text.replace(written, written.replace("sample", name))
    file.write_text(text)
    deploy(server, file)
    return name


@pytest.fixture(scope="session")
def project(server: PrefectServer) -> list[str]:
    """Deploy what prefect.yaml says."""
    return deploy(server, ROOT / "prefect.yaml")


def deploy(server: PrefectServer, file: Path) -> list[str]:
    code = (
        "import json, sys; from pathlib import Path; from bootpress.adapters.orchestrator.deploying import deploy; "
        "print(json.dumps(deploy(Path(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        env=server.environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout)
    return names
