"""What all tests stand on: no network but this machine, no setting of the developer's, real parts or a plain word."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir
from xdist.remote import Producer

from tests.support import postgres, services
from tests.support.gitea import Gitea, running_gitea
from tests.support.ports import free_port as _free_port
from tests.support.prefect_server import PrefectServer, prefect_server
from tests.support.registries import RunningRegistry, running
from tests.support.scheduling import UnitScheduling, misplaced
from tests.support.sigstore_live import Sigstore, running_sigstore
from tools.shell import in_ci

SCRATCH = Path(tempfile.mkdtemp(prefix="bootpress-tests-"))


def _leave_the_developers_environment() -> None:
    """Forget what this machine says about bootpress and Prefect, before anything imports them."""
    for name in [name for name in os.environ if name.startswith(("BOOTPRESS_", "POWERNODE_", "PREFECT_"))]:
        del os.environ[name]
    os.environ |= {
        "PREFECT_HOME": str(SCRATCH / "prefect"),
        # Without a server a flow must fail, not start one of its own in silence.
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Credentials of the developer's for registries are not the tests' to use.
        "DOCKER_CONFIG": str(SCRATCH / "docker"),
        # A proxy of the machine's is not asked for servers on it.
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.1,localhost,::1"])),
    }


def _make_hypothesis_repeatable() -> None:
    """Keep its files out of the checkout; in CI the same examples every time, so that a red run can be run again."""
    set_hypothesis_home_dir(SCRATCH / "hypothesis")
    hypothesis.settings.register_profile("local", deadline=None, database=None)
    hypothesis.settings.register_profile("ci", deadline=None, database=None, derandomize=True)
    hypothesis.settings.register_profile("long", deadline=None, database=None, max_examples=10_000)
    hypothesis.settings.load_profile("ci" if in_ci() else "local")


_leave_the_developers_environment()
_make_hypothesis_repeatable()


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(SCRATCH, ignore_errors=True)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> UnitScheduling:
    """Keep tests of one service, and those of one module, in one process."""
    return UnitScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that would start, in a second process, a service that holds a fixed port."""
    for item in items:
        fixture = misplaced(getattr(item, "fixturenames", ()), item.nodeid)
        if fixture:
            raise pytest.UsageError(f"{item.nodeid} uses {fixture}: name its file in tests/support/scheduling.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, a test whose `part` markers name something that is not here."""
    for marker in item.iter_markers("part"):
        for name in marker.args:
            services.require(name)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was not tested for want of a part, and how to repeat alone what failed."""
    found = [
        re.search(rf"{services.MISSING} (\S+): (.*)", str(r.longrepr)) for r in terminalreporter.getreports("skipped")
    ]
    counts = Counter((match[1], match[2].rstrip("')")) for match in found if match)
    for (name, remedy), count in sorted(counts.items()):
        terminalreporter.write_line(f"not tested for want of {name}: {count} tests ({remedy})", yellow=True)
    failed = [report.nodeid for state in ("failed", "error") for report in terminalreporter.getreports(state)]
    for node_id in dict.fromkeys(failed):
        terminalreporter.write_line(f"repeat alone: .venv/bin/pytest -n0 {shlex.quote(node_id)}")


@pytest.fixture
def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens; call tests.support.ports.free_port for more."""
    return _free_port()


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    """Run one PostgreSQL cluster for the whole session."""
    with postgres.cluster() as running:
        yield running


@pytest.fixture(scope="session")
def postgres_url(postgres_cluster: postgres.Cluster) -> str:
    """Return the URL of the cluster's maintenance database, for what needs a server and not a database of its own."""
    return postgres_cluster.url


@pytest.fixture
def postgres_database(postgres_cluster: postgres.Cluster) -> Iterator[str]:
    """Return the URL of an empty PostgreSQL database that is dropped after the test."""
    url = postgres_cluster.create_database()
    yield url
    postgres_cluster.drop_database(url)


@pytest.fixture
def postgres_catalog(postgres_cluster: postgres.Cluster) -> Iterator[str]:
    """Return the URL of a PostgreSQL database with the current schema that is dropped after the test."""
    url = postgres_cluster.create_catalog()
    yield url
    postgres_cluster.drop_database(url)


@pytest.fixture(scope="session")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], RunningRegistry]]:
    """Return a function that gives the registry of a kind, started when a test first asks and shared by all."""
    started: dict[str, RunningRegistry] = {}
    with ExitStack() as stack:

        def get(kind: str) -> RunningRegistry:
            if kind not in started:
                started[kind] = stack.enter_context(running(kind, tmp_path_factory.mktemp(kind)))
            return started[kind]

        yield get


@pytest.fixture(scope="session")
def open_gitea() -> Iterator[Callable[[str], Gitea]]:
    """Return a function that gives the Gitea of a version, 126 or 125, started when a test first asks and shared."""
    started: dict[str, Gitea] = {}
    with ExitStack() as stack:

        def get(version: str) -> Gitea:
            if version not in started:
                started[version] = stack.enter_context(running_gitea(version))
            return started[version]

        yield get


@pytest.fixture(scope="session")
def sigstore(postgres_cluster: postgres.Cluster) -> Iterator[Sigstore]:
    """Run Fulcio, its log, Rekor 1 and 2 and a timestamp authority for the whole session."""
    with running_sigstore(postgres_cluster.create_database()) as running:
        yield running


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """Run one Prefect server for the whole session."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database; the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    url: str = request.getfixturevalue("postgres_database")
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database with the current schema; the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"  # made by who opens it
    url: str = request.getfixturevalue("postgres_catalog")
    return url
