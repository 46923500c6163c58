"""What `bootpress doctor` says of the string of our own Prefect server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bootpress.settings import Settings
from bootpress.stack.check_result import CheckResult, CheckStatus
from bootpress.stack.doctor import examine
from bootpress.stack.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def found_of(home: Home, base: Mapping[str, str]) -> CheckResult:
    """Return the finding; those before it need no server, and those after it are not looked for."""
    return next(one for one in examine(Settings(home=home.folder), base) if one.name == "prefect string")


def test_a_home_without_one_gets_one_at_its_next_start(home: Home) -> None:
    found = found_of(home, {})
    assert found.health is CheckStatus.WARN
    assert "next start" in str(found.hint)
    assert not home.prefect_auth.exists()
    home.prefect_auth.write_text("\n")
    assert found_of(home, {}).health is CheckStatus.WARN


def test_one_that_others_can_read_is_named_with_the_remedy(home: Home) -> None:
    secret = home.prefect_auth_string()
    assert found_of(home, {}).health is CheckStatus.OK
    home.prefect_auth.chmod(0o640)
    found = found_of(home, {})
    assert (found.health, found.hint) == (CheckStatus.WARN, f"chmod 600 {home.prefect_auth}")
    assert secret not in repr(found)


@pytest.mark.parametrize("name", ["PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"])
def test_an_operators_own_is_not_shown(home: Home, name: str) -> None:
    found = found_of(home, {name: "me:secret"})
    assert found.health is CheckStatus.OK
    assert "secret" not in found.detail


def test_of_a_server_elsewhere_nothing_is_said(home: Home) -> None:
    names = []
    for one in examine(Settings(home=home.folder), {"PREFECT_API_URL": "http://127.0.0.1:9/api"}):
        names.append(one.name)
        if one.name == "prefect":
            break
    assert "prefect string" not in names
