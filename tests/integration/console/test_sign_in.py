"""Signing in at the console by a one-time code of the home's owner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bootpress.sign_in import SignInCodes, codes_of
from tests.support.browser import browser
from tests.support.console import COOKIE, Console, running_console

SIGN_IN = "/app/sign-in"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("BOOTPRESS_HOME", str(folder))
    return folder


@pytest.fixture
def here(home: Path, tmp_path: Path) -> Iterator[Console]:
    """Run a console of that home, with an administrator's token."""
    with running_console(tmp_path) as running:
        (home / "admin.token").write_text(f"{running.token}\n")
        yield running


@pytest.fixture
def codes(home: Path) -> SignInCodes:
    return codes_of(home, "console")


def test_a_code_begins_the_administrators_session_once(here: Console, codes: SignInCodes) -> None:
    code = codes.make()
    answer = here.http.get(SIGN_IN, params={"code": code})
    assert (answer.status_code, answer.headers["location"]) == (303, "/app/publications")
    assert here.http.get("/app/publications").status_code == 200
    here.forget()
    again = here.http.get(SIGN_IN, params={"code": code})
    assert again.status_code == 401
    assert COOKIE not in again.cookies
    assert "bootpress ui" in again.text


def test_a_head_and_a_post_take_no_code(here: Console, codes: SignInCodes) -> None:
    code = codes.make()
    assert here.http.head(SIGN_IN, params={"code": code}).status_code == 401
    assert here.http.post(SIGN_IN, params={"code": code}).status_code in {404, 405}
    assert here.http.get(SIGN_IN, params={"code": code}).status_code == 303


def test_a_code_is_no_use_where_the_administrators_token_was_revoked(
    here: Console, codes: SignInCodes, home: Path
) -> None:
    (home / "admin.token").write_text("revoked\n")
    answer = here.http.get(SIGN_IN, params={"code": codes.make()})
    assert answer.status_code == httpx.codes.UNAUTHORIZED
    assert COOKIE not in answer.cookies


@pytest.mark.part("chromium")
def test_behind_https_a_browser_of_this_machine_is_signed_in_too(
    home: Path, codes: SignInCodes, tmp_path: Path
) -> None:
    """Prevents a session whose cookie, for HTTPS only, no browser takes from the loopback address that is opened."""
    with running_console(tmp_path, public_url="https://press.example.org") as console:
        (home / "admin.token").write_text(console.token)
        with browser(tmp_path) as chrome:
            chrome.get(f"{console.url}{SIGN_IN}?code={codes.make()}")
            assert chrome.current_url == f"{console.url}/app/publications"
