"""Which addresses `bootpress ui` opens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bootpress.sign_in import codes_of
from bootpress.stack.errors import StackFailed
from bootpress.stack.home import Home
from bootpress.stack.ui import sign_in_pages


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def write_endpoints(home: Home, prefect_url: str, *names: str) -> None:
    said = {"api_url": "http://127.0.0.1:8480", "prefect_url": prefect_url, "pids": dict.fromkeys(names, 1)}
    home.endpoints.write_text(json.dumps(said))


def test_a_server_of_the_operators_is_opened_as_it_is(home: Home) -> None:
    write_endpoints(home, "https://prefect.example.org", "api", "worker")
    with home.locked():
        prefect, console = sign_in_pages(home)
    assert prefect.address == "https://prefect.example.org"
    assert console.address.startswith("http://127.0.0.1:8480/app/sign-in?code=")


def test_our_own_takes_a_code(home: Home) -> None:
    write_endpoints(home, "http://127.0.0.1:4200", "api", "prefect")
    with home.locked():
        prefect, _ = sign_in_pages(home)
    address, _, code = prefect.address.partition("?code=")
    assert address == "http://127.0.0.1:4200/bootpress/sign-in"
    assert codes_of(home.folder, "prefect").take(code)


def test_endpoints_that_a_killed_stack_left_are_not_believed(home: Home) -> None:
    write_endpoints(home, "http://127.0.0.1:4200", "prefect")
    with pytest.raises(StackFailed, match="does not run"):
        sign_in_pages(home)
