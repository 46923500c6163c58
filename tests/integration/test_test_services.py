"""Test services, databases and processes that the other tests use."""

from __future__ import annotations

import shlex
import socket
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, inspect, make_url, text

from bootpress import schema
from bootpress.core import models
from tests.support import services
from tests.support.databases import open_catalog
from tests.support.ports import free_port
from tests.support.processes import Program, is_alive, listens, wait_for
from tests.support.scheduling import GROUPS, misplaced, unit_of

pytest_plugins = ["pytester"]


def test_a_database_is_empty_and_takes_what_is_written(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE thing (name TEXT)"))
        connection.execute(text("INSERT INTO thing VALUES ('one')"))
    with engine.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM thing")).scalar() == 1
    engine.dispose()


def test_two_postgresql_databases_do_not_see_each_other(postgres_database: str, postgres_url: str) -> None:
    assert make_url(postgres_database).database != make_url(postgres_url).database


@pytest.mark.part("postgresql")
def test_postgresql_lets_nobody_in_without_its_password(postgres_url: str) -> None:
    url = make_url(postgres_url).set(drivername="postgresql", password="wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url.render_as_string(hide_password=False))


def test_a_connection_to_another_machine_is_refused_before_it_is_tried() -> None:
    with socket.socket() as client, pytest.raises(Warning, match=r"A test tried to use socket\.socket\.connect"):
        client.connect(("192.0.2.1", 80))


def test_free_ports_are_free_and_differ() -> None:
    ports = [free_port() for _ in range(20)]
    assert len(set(ports)) == 20
    assert not any(listens(port) for port in ports)


def test_a_program_that_ends_early_says_what_it_wrote(tmp_path: Path) -> None:
    with (
        Program(["sh", "-c", "echo no such luck; exit 3"], log=tmp_path / "log") as program,
        pytest.raises(AssertionError, match=r"(?s)ended with 3 before it answers:.*no such luck"),
    ):
        program.wait_until(lambda: False, what="it answers", seconds=10)


def test_stopping_a_program_ends_its_children_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Program(["sh", "-c", "sleep 600 & echo $!; wait"], log=log) as program:
        program.wait_until(lambda: program.output.strip().isdigit(), what="it names its child")
    child = int(program.output)
    wait_for(lambda: not is_alive(child), what="the child is gone", seconds=10)


def test_a_program_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    # The one in the middle starts a program as tests do, and is then killed as a test run may be.
    code = f"""
import time, pathlib
from tests.support.processes import Program
program = Program(["sleep", "600"], log=pathlib.Path({str(tmp_path / "inner.log")!r}))
print(program.pid, flush=True)
time.sleep(600)
"""
    middle = Program(["python3", "-c", code], log=tmp_path / "log", cwd=Path(__file__).parents[2])
    middle.wait_until(lambda: middle.output.strip().isdigit(), what="it names its program")
    inner = int(middle.output)
    assert is_alive(inner)
    middle.kill()
    wait_for(lambda: not is_alive(inner), what="the program is gone", seconds=10)


@pytest.mark.parametrize(("ci", "outcome"), [("", "skipped"), ("true", "errors")])
def test_a_missing_part_skips_its_tests_by_name_and_fails_them_in_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: str
) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.part("chromium")
        def test_it():
            pass
    """)
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", "")  # where chromium is found
    result = pytester.runpytest_subprocess("-p", "tests.conftest", "-ra")
    result.assert_outcomes(**{outcome: 1})
    result.stdout.fnmatch_lines(["*missing part chromium: make test installs it*"])
    if not ci:
        result.stdout.fnmatch_lines(["not tested for want of chromium: 1 tests (make test installs it)"])


def test_a_failed_test_names_the_command_that_repeats_it_alone(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("""
        import pytest

        @pytest.mark.parametrize("word", ["a b"])
        def test_it(word):
            assert not word
    """)
    result = pytester.runpytest_subprocess("-p", "tests.conftest", "-n0")
    result.assert_outcomes(failed=1)
    [command] = [line for line in result.outlines if line.startswith("repeat alone: .venv/bin/pytest ")]
    again = shlex.split(command.partition("pytest ")[2])
    assert again == ["-n0", "test_a_failed_test_names_the_command_that_repeats_it_alone.py::test_it[a b]"]


@pytest.mark.parametrize(
    ("node_id", "unit"),
    [
        ("tests/flows/test_build.py::test_a[b::c]", "prefect"),
        ("tests/integration/prefect_api/test_events.py::test_a", "prefect"),
        ("tests/integration/core/test_relay.py::test_a[b::c]", "tests/integration/core/test_relay.py"),
        ("tests/unit/core/test_rate_limit.py::TestA::test_b", "tests/unit/core/test_rate_limit.py"),
    ],
)
def test_tests_of_one_service_and_of_one_module_run_in_one_process(node_id: str, unit: str) -> None:
    assert unit_of(node_id) == unit


def test_a_service_with_a_fixed_port_is_used_in_its_unit_alone() -> None:
    assert misplaced(["tmp_path", "sigstore"], "tests/e2e/test_console.py::test_a") == "sigstore"
    assert misplaced(["sigstore"], "tests/e2e/test_live_services.py::test_a") is None


def test_every_group_has_tests() -> None:
    root = Path(__file__).parents[2]
    assert [prefix for prefix in GROUPS if not [*root.glob(f"{prefix}*")]] == []


def test_a_copied_catalog_has_the_schema_of_a_migrated_one(catalog_url: str) -> None:
    catalog = open_catalog(catalog_url)
    assert schema.is_current(catalog)
    assert set(inspect(catalog.engine).get_table_names()) == {"alembic_version", *models.metadata.tables}
    catalog.close()


def test_a_part_that_nobody_builds_is_an_error_not_a_skip() -> None:
    with pytest.raises(LookupError, match="there is no part 'cosign4'"):
        services.require("cosign4")
