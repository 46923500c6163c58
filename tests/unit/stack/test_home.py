from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr

from bootpress import wiring
from bootpress.core.errors import Conflict, InvalidInput
from bootpress.settings import Settings
from bootpress.stack import home as home_module
from bootpress.stack import prefect_server
from bootpress.stack.environment import (
    absolute,
    clean_environment,
    common,
    prefect_environment,
    service_environment,
    without_password,
)
from bootpress.stack.home import Home, write_private

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def test_a_home_is_for_its_owner_alone_even_if_it_was_open(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o755)
    Home(folder).create()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be made"):
        Home(tmp_path / "file" / "home").create()


def test_a_home_is_held_by_one(home: Home) -> None:
    assert not home.is_locked()
    with home.locked():
        assert home.is_locked()
        with pytest.raises(Conflict, match="runs already"), home.locked():
            pytest.fail("two hold it")
    assert not home.is_locked()
    with home.locked():
        pass


def test_the_workers_name_stays(home: Home) -> None:
    assert home.worker_name() == home.worker_name()
    assert Home(home.folder.parent / "home").worker_name() == home.worker_name()


def test_a_private_file_is_private_also_where_an_open_one_was(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["endpoints.json"]


def test_a_private_file_that_cannot_be_written_leaves_nothing_and_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "endpoints.json"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        write_private(path, "new")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_endpoints_that_cannot_be_read_are_none(home: Home, text: str) -> None:
    home.endpoints.write_text(text)
    assert home.read_endpoints() is None


def test_wiring_reads_the_file_that_the_stack_writes() -> None:
    assert wiring.ENDPOINTS == home_module.ENDPOINTS


def test_others_get_no_setting_of_ours_or_prefects(home: Home) -> None:
    base = {"PATH": "/bin", "DOCKER_CONFIG": "/d", "POWERNODE_PUBLIC_URL": "x"}
    secret = dict.fromkeys(("BOOTPRESS_ENCRYPTION_KEY", "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_KEY"), "secret")
    environment = common(home, base | secret)
    assert "secret" not in environment.values()
    assert environment["PATH"] == "/bin"
    assert environment["DOCKER_CONFIG"] == "/d"
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "TMPDIR"):
        assert Path(environment[name]).is_relative_to(home.folder)


def test_a_stranger_has_configured_neither_us_nor_prefect() -> None:
    theirs = {"PATH": "/bin", "HOME": "/home/me", "DOCKER_CONFIG": "/d"}
    ours = {"BOOTPRESS_DATABASE_URL": "x", "POWERNODE_PUBLIC_URL": "x", "PREFECT_API_URL": "x", "PREFECT_PROFILE": "x"}
    assert clean_environment(theirs | ours) == theirs


def test_prefects_own_home_lies_in_ours_whatever_the_environment_says(home: Home) -> None:
    environment = prefect_environment(
        home, {"PREFECT_HOME": "/elsewhere", "PREFECT_SERVER_API_AUTH_STRING": "me:secret"}
    )
    assert environment["PREFECT_HOME"] == str(home.prefect)
    assert environment["PREFECT_API_AUTH_STRING"] == "me:secret"


def test_our_processes_get_the_settings_as_they_are_here(home: Home) -> None:
    settings = Settings(home=home.folder, database_url=SecretStr("postgresql+psycopg://u:p@h/d"), worker_threads=3)
    environment = service_environment(
        settings, home, prefect_api="http://p/api", api_url="http://127.0.0.1:8481", api_port=8481, base={}
    )
    assert environment["BOOTPRESS_DATABASE_URL"] == "postgresql+psycopg://u:p@h/d"
    assert environment["BOOTPRESS_WORKER_THREADS"] == "3"
    assert environment["BOOTPRESS_PORT"] == "8481"
    assert environment["BOOTPRESS_PUBLIC_URL"] == "http://127.0.0.1:8481"
    assert environment["PREFECT_API_URL"] == "http://p/api"
    assert "BOOTPRESS_REGISTRY" not in environment


def test_our_processes_get_no_key_that_they_find_in_the_home(home: Home) -> None:
    settings = Settings(home=home.folder)
    (key,) = settings.encryption_keys
    environment = service_environment(
        settings, home, prefect_api="http://p/api", api_url="http://a", api_port=1, base={}
    )
    assert [name for name, value in environment.items() if key in value] == []
    assert absolute(settings) == Settings(home=home.folder)


def test_a_relative_database_means_the_same_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = absolute(Settings(home=Path("h"), database_url=SecretStr("sqlite:///own.db")))
    assert settings.home == tmp_path / "h"
    assert settings.catalog_url == f"sqlite:///{tmp_path / 'own.db'}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://u:geheim@h:5432/d", "postgresql+psycopg://u@h:5432/d"),
        ("postgresql://u@h/d?password=geheim&sslmode=require", "postgresql://u@h/d?sslmode=require"),
        ("sqlite:////home.db", "sqlite:////home.db"),
    ],
)
def test_a_database_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


@pytest.mark.parametrize(
    "name", ["SERVER_DATABASE_CONNECTION_URL", "API_DATABASE_CONNECTION_URL", "SERVER_DATABASE_PASSWORD"]
)
def test_the_password_of_prefects_database_is_the_servers_alone(home: Home, name: str) -> None:
    base = {f"PREFECT_{name}": "hunter2", "PREFECT_API_AUTH_STRING": "me:secret"}
    settings = Settings(home=home.folder)
    environment = service_environment(
        settings, home, prefect_api="http://p/api", api_url="http://a", api_port=1, base=base
    )
    assert "hunter2" not in environment.values()
    assert environment["PREFECT_API_AUTH_STRING"] == "me:secret"
    assert "hunter2" in prefect_server.spec(home, 4200, base).environment.values()


def settings_of_prefect(environment: Mapping[str, str], code: str) -> str:
    """Return what Prefect makes of an environment."""
    code = f"from prefect.settings import get_current_settings; s = get_current_settings(); print({code})"
    words = [sys.executable, "-c", code]
    return subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout.strip()


VACUUM = "s.server.services.db_vacuum"


def test_the_history_of_runs_ends_after_thirty_days(home: Home) -> None:
    environment = prefect_server.spec(home, 4200, {"PATH": os.environ["PATH"]}).environment
    kept = (
        f"sorted({VACUUM}.enabled_vacuum_types), {VACUUM}.retention_period.days, s.server.events.retention_period.days"
    )
    assert settings_of_prefect(environment, kept) == "['events', 'flow_runs', 'orphans'] 30 7"


def test_an_operator_decides_how_long_history_is_kept(home: Home) -> None:
    theirs = {
        "PATH": os.environ["PATH"],
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": "7200",
    }
    kept = f"{VACUUM}.enabled_vacuum_types, {VACUUM}.retention_period.seconds"
    assert settings_of_prefect(prefect_server.spec(home, 4200, theirs).environment, kept) == "{'events'} 7200"


@pytest.mark.parametrize(
    ("theirs", "asked"), [({}, "False"), ({"PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true"}, "True")]
)
def test_our_own_processes_ask_prefect_for_no_tokens_unless_told_to(
    home: Home, theirs: dict[str, str], asked: str
) -> None:
    base = theirs | {"PATH": os.environ["PATH"]}
    environment = service_environment(
        Settings(home=home.folder), home, prefect_api="http://p/api", api_url="http://a", api_port=1, base=base
    )
    assert settings_of_prefect(environment, "s.client.csrf_support_enabled") == asked


def test_prefects_database_is_the_environments_whole_or_in_parts_or_else_in_the_home(home: Home) -> None:
    def url(**base: str) -> str | None:
        return prefect_server.spec(home, 4200, base).environment.get("PREFECT_SERVER_DATABASE_CONNECTION_URL")

    assert url() == f"sqlite+aiosqlite:///{home.prefect / 'prefect.db'}"
    assert url(PREFECT_SERVER_DATABASE_CONNECTION_URL="postgresql+asyncpg://db/prefect") is not None
    assert url(PREFECT_SERVER_DATABASE_DRIVER="postgresql+asyncpg", PREFECT_SERVER_DATABASE_HOST="db") is None
    assert url(PREFECT_API_DATABASE_DRIVER="postgresql+asyncpg", PREFECT_API_DATABASE_HOST="db") is None


def test_results_of_runs_are_scratch(home: Home) -> None:
    environment = prefect_server.spec(home, 4200, {}).environment
    assert Path(environment["PREFECT_RESULTS_LOCAL_STORAGE_PATH"]).is_relative_to(home.folder / "tmp")


def test_our_own_prefect_always_wants_a_string_which_the_home_keeps(home: Home) -> None:
    wanted = prefect_server.spec(home, 4200, {}).environment["PREFECT_SERVER_API_AUTH_STRING"]
    assert len(wanted) > 64
    assert home.prefect_auth.read_text().strip() == wanted
    assert stat.S_IMODE(home.prefect_auth.stat().st_mode) == 0o600
    assert prefect_environment(home, {})["PREFECT_API_AUTH_STRING"] == wanted
    assert wanted not in " ".join(prefect_server.spec(home, 4200, {}).words)
    assert wanted not in common(home, {}).values()


def test_a_string_that_others_could_read_is_closed_and_an_empty_one_made_anew(home: Home) -> None:
    first = home.prefect_auth_string()
    home.prefect_auth.chmod(0o644)
    assert home.prefect_auth_string() == first
    assert stat.S_IMODE(home.prefect_auth.stat().st_mode) == 0o600
    home.prefect_auth.write_text("\n")
    assert len(home.prefect_auth_string()) > 64


def test_a_string_that_lies_elsewhere_is_taken_and_its_file_left_as_it_is(home: Home, tmp_path: Path) -> None:
    elsewhere = tmp_path / "of somebody else"
    elsewhere.write_text("me:secret\n")
    elsewhere.chmod(0o644)
    home.prefect_auth.symlink_to(elsewhere)
    assert home.prefect_auth_string() == "me:secret"
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


@pytest.mark.parametrize("name", ["PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"])
def test_a_string_of_the_environment_is_wanted_in_its_place(home: Home, name: str) -> None:
    environment = prefect_server.spec(home, 4200, {name: "me:secret"}).environment
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == "me:secret"
    assert environment["PREFECT_API_AUTH_STRING"] == "me:secret"
    assert not home.prefect_auth.exists()


@pytest.mark.parametrize("name", ["PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"])
def test_an_empty_string_of_the_environment_is_none(home: Home, name: str) -> None:
    environment = prefect_server.spec(home, 4200, {name: ""}).environment
    assert environment["PREFECT_SERVER_API_AUTH_STRING"] == home.prefect_auth_string()
    assert environment["PREFECT_API_AUTH_STRING"] == home.prefect_auth_string()


def test_another_server_gets_the_credentials_that_are_its_own(home: Home) -> None:
    kept = home.prefect_auth_string()
    elsewhere = {"PREFECT_API_URL": "https://prefect.example.org/api"}
    assert kept not in prefect_environment(home, elsewhere).values()
    theirs = elsewhere | {"PREFECT_API_KEY": "key", "PREFECT_API_AUTH_STRING": "me:secret"}
    assert theirs.items() <= prefect_environment(home, theirs).items()


def test_a_key_of_prefect_cloud_does_not_go_to_our_own_server(home: Home) -> None:
    """Prevents clients from sending it in place of the string: each call would be refused."""
    assert "PREFECT_API_KEY" not in prefect_environment(home, {"PREFECT_API_KEY": "key"})


def test_prefect_knows_the_hosts_that_the_operator_adds_and_where_codes_are(home: Home) -> None:
    words = prefect_server.spec(home, 4200, {}, allowed_hosts=["prefect.example.org", "inner:4200"]).words
    assert words.count("--allow-host") == 2
    assert {"prefect.example.org", "inner:4200", str(home.run / "sign-in" / "prefect")} <= set(words)
