"""`bootpress ui`: both pages open signed in, by addresses that are good once, and no command line shows a secret."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.support.browser import browser
from tests.support.processes import wait_for
from tests.support.running_stack import Stack

WHO = "return fetch('/api/admin/version', {headers: {Authorization: 'Basic ' + localStorage['prefect-password']}})"


def run(home: Path, *words: str, extra: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) | dict(extra or {})
    argv = [sys.executable, "-m", "bootpress", "ui", "--home", str(home), *words]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60, env=environment)


def printed(stack: Stack) -> dict[str, str]:
    """Return the addresses that `bootpress ui --print` shows, by the page's name."""
    told = run(stack.home, "--print")
    assert told.returncode == 0, told.stderr
    return dict(re.findall(r"^(.+?): (http\S+)$", told.stdout, re.MULTILINE))


def test_the_addresses_hold_no_secret_and_are_good_once(stack: Stack) -> None:
    pages = printed(stack)
    assert set(pages) == {"Prefect UI", "console"}
    secrets = [stack.prefect_auth_string, *stack.prefect_auth, (stack.home / "admin.token").read_text().strip()]
    for address in pages.values():
        assert not [secret for secret in secrets if secret in address and secret != "bootpress"]
        assert httpx.head(address).status_code in {401, 403}, "asking for the head alone takes nothing"
        first, second = httpx.get(address), httpx.get(address)
        assert first.status_code in {200, 303}
        assert second.status_code in {401, 403}
        assert "bootpress ui" in second.text
        assert not [secret for secret in secrets if secret in second.text and secret != "bootpress"]


def test_a_code_of_one_page_is_none_of_the_other(stack: Stack) -> None:
    codes = {name: httpx.URL(address).params["code"] for name, address in printed(stack).items()}
    api, prefect = stack.endpoints["api_url"], stack.endpoints["prefect_url"]
    assert httpx.get(f"{api}/app/sign-in", params={"code": codes["Prefect UI"]}).status_code == 401
    assert httpx.get(f"{prefect}/bootpress/sign-in", params={"code": codes["console"]}).status_code == 403


@pytest.mark.parametrize("code", ["", "x" * 43, "../../../admin.token", "%00", "é" * 43])
def test_what_is_no_code_signs_nobody_in(stack: Stack, code: str) -> None:
    for url in (f"{stack.endpoints['api_url']}/app/sign-in", f"{stack.endpoints['prefect_url']}/bootpress/sign-in"):
        answer = httpx.get(url, params={"code": code})
        assert answer.status_code in {401, 403}
        assert "set-cookie" not in answer.headers


@pytest.mark.part("chromium")
def test_both_pages_open_signed_in(stack: Stack, tmp_path: Path) -> None:
    pages = printed(stack)
    with browser(tmp_path) as chrome:
        chrome.get(pages["Prefect UI"])
        is_signed_in(chrome)
        chrome.get(pages["console"])
        assert chrome.find_element(By.TAG_NAME, "h1").text == "Newest publications"
        assert "code" not in chrome.current_url


@pytest.mark.part("chromium")
def test_a_browser_is_started_with_a_private_file_that_leads_on(stack: Stack, tmp_path: Path) -> None:
    words = tmp_path / "words"
    program = tmp_path / "a-browser"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {words}\n')
    program.chmod(0o755)
    told = run(stack.home, extra={"BROWSER": f"{program} %s"})
    assert told.returncode == 0, told.stderr
    assert told.stdout == ""
    opened = words.read_text().split()
    assert [Path(httpx.URL(one).path).name for one in opened] == ["open-prefect.html", "open-console.html"]
    for one in opened:
        assert "code" not in one
        assert stat.S_IMODE(Path(httpx.URL(one).path).stat().st_mode) == 0o600
    with browser(tmp_path) as chrome:
        chrome.get(opened[0])
        wait_for(lambda: chrome.current_url.startswith(stack.endpoints["prefect_url"]), what="Prefect is open")
        is_signed_in(chrome)
        chrome.get(opened[1])
        wait_for(lambda: chrome.current_url.startswith(stack.endpoints["api_url"]), what="the console is open")
        assert chrome.find_element(By.TAG_NAME, "h1").text == "Newest publications"


@pytest.mark.parametrize("path", ["/", "/dashboard", "/v2/dashboard", "/docs"])
def test_a_page_of_prefects_may_talk_to_its_own_server_alone(stack: Stack, path: str) -> None:
    asked = {"Accept": "text/html"}
    page = httpx.get(stack.endpoints["prefect_url"] + path, headers=asked, follow_redirects=True)
    assert page.headers["content-type"].startswith("text/html")
    again = {"If-None-Match": page.headers.get("etag", "")}
    kept = httpx.get(page.url, headers=asked | again)
    assert kept.status_code == (304 if again["If-None-Match"] else 200)
    assert kept.headers["content-security-policy"] == page.headers["content-security-policy"]
    policy = dict(one.split(maxsplit=1) for one in page.headers["content-security-policy"].split("; "))
    assert set(policy) == {"connect-src", "script-src"}
    for allowed in policy.values():
        assert set(allowed.split()) <= {"'self'", "'unsafe-inline'", "'unsafe-eval'", "data:", "blob:"}


def test_without_a_browser_the_addresses_are_shown(stack: Stack) -> None:
    told = run(stack.home, extra={"BROWSER": "/nothing/here %s", "PATH": "/nothing", "DISPLAY": ""})
    assert told.returncode == 0, told.stderr
    assert "/bootpress/sign-in?code=" in told.stdout
    assert "/app/sign-in?code=" in told.stdout


def test_without_a_stack_it_says_so(tmp_path: Path) -> None:
    told = run(tmp_path / "home")
    assert told.returncode == 1
    assert "does not run" in told.stderr
    assert "bootpress up" in told.stderr


def is_signed_in(chrome: Chrome) -> None:
    """Assert that Prefect's own page asks for nothing and gets what it asks Prefect for."""
    wait_for(lambda: "dashboard" in chrome.current_url, what="Prefect's dashboard is open")
    wait_for(lambda: "Flow Runs" in chrome.find_element(By.TAG_NAME, "body").text, what="it shows runs")
    assert chrome.execute_script(f"{WHO}.then(answer => answer.status)") == httpx.codes.OK
    loaded = chrome.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    own = tuple(scheme + chrome.current_url.split("/")[2] for scheme in ("http://", "ws://", "data:"))
    assert loaded
    assert [one for one in loaded if not one.startswith(own)] == []
    assert "Upgrade" not in chrome.find_element(By.TAG_NAME, "body").text
    assert "code" not in chrome.current_url
