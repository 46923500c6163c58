"""The console in a real browser: with the keyboard alone, and under its own policy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By

from tests.support.browser import browser
from tests.support.console import Console

pytestmark = pytest.mark.part("chromium")
HOME = "/app/publications"


def press(chrome: Chrome, *keys: str) -> None:
    """Press keys wherever the focus is."""
    ActionChains(chrome).send_keys(*keys).perform()


def wait_for_page(chrome: Chrome, address: str) -> None:
    """Wait until an address is open and its page complete."""
    deadline = time.monotonic() + 15
    while chrome.current_url != address or chrome.execute_script("return document.readyState") != "complete":
        assert time.monotonic() < deadline, f"at {chrome.current_url}, not {address}"
        time.sleep(0.05)


def focused(chrome: Chrome) -> str:
    """Return the words of what has the focus."""
    return chrome.switch_to.active_element.text


def complaints(chrome: Chrome) -> list[str]:
    """Return what the browser found wrong, such as something that the policy forbids."""
    log = chrome.get_log("browser")  # type: ignore[no-untyped-call]  # selenium has left this one without types
    return [str(one["message"]) for one in log if one["level"] in {"WARNING", "SEVERE"}]


def test_a_link_leads_through_the_login_to_the_publication_by_keyboard(console: Console, tmp_path: Path) -> None:
    digest = console.world.images.image()
    page = f"{console.url}{HOME}/{console.world.publish(digest=digest)}"
    with browser(tmp_path) as chrome:
        chrome.get(page)
        assert chrome.find_element(By.TAG_NAME, "h1").text == "Log in"
        press(chrome, console.token, Keys.ENTER)
        wait_for_page(chrome, page)
        assert chrome.find_element(By.ID, "digest").text == digest
        # The style sheet came through, and a script of somebody else's would not read the session.
        assert chrome.find_element(By.CLASS_NAME, "published").value_of_css_property("border-top-style") == "solid"
        assert chrome.execute_script("return document.cookie") == ""
        assert complaints(chrome) == []

        press(chrome, Keys.TAB)
        assert focused(chrome) == "Skip to the content"
        press(chrome, Keys.TAB, Keys.TAB)
        assert focused(chrome) == "Log out"
        press(chrome, Keys.TAB)
        assert focused(chrome) == "Publications of edge"
        press(chrome, Keys.ENTER)
        wait_for_page(chrome, f"{console.url}{HOME}?platform=edge")
        press(chrome, Keys.TAB, Keys.TAB, Keys.TAB, Keys.ENTER)
        wait_for_page(chrome, f"{console.url}/app/login?next=%2Fapp%2Fpublications%3Fplatform%3Dedge")
        assert complaints(chrome) == []


def test_over_plain_http_on_another_machine_the_login_works_too(console: Console, tmp_path: Path) -> None:
    """Prevents a console that only works where browsers send Sec-Fetch-Site, which is HTTPS and this machine."""
    mapped = "--host-resolver-rules=MAP press.test 127.0.0.1"
    plain = "--disable-features=HttpsUpgrades,HttpsFirstBalancedMode,HttpsFirstBalancedModeAutoEnable"
    with browser(tmp_path, mapped, plain) as chrome:
        chrome.get(f"http://press.test:{console.port}/app")
        press(chrome, console.token, Keys.ENTER)
        wait_for_page(chrome, f"http://press.test:{console.port}{HOME}")
        assert "Nothing has been announced yet" in chrome.find_element(By.TAG_NAME, "main").text


def test_a_page_of_another_site_logs_nobody_in(console: Console, tmp_path: Path) -> None:
    trap = tmp_path / "trap.html"
    trap.write_text(
        f'<form method="post" action="{console.url}/app/login"><input name="token" value="{console.token}">'
        "<button autofocus>Win a prize</button></form>"
    )
    with browser(tmp_path) as chrome:
        chrome.get(trap.as_uri())
        press(chrome, Keys.ENTER)
        wait_for_page(chrome, f"{console.url}/app/login")
        assert chrome.find_element(By.TAG_NAME, "h1").text == "Forbidden"
        assert chrome.get_cookies() == []
