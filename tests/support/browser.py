"""The system's own Chromium without a window, driven through its own driver; it talks to nobody but this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.support import services
from tools import packages

FLAGS = (
    "--headless",
    "--no-sandbox",  # root, as tests in containers run, has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def browser(folder: Path, *flags: str) -> Iterator[Chrome]:
    """Open a browser that knows nothing yet; what it keeps lies in the folder."""
    driver = packages.find_program("chromedriver")
    assert driver is not None, "the part chromium is both"
    options = ChromeOptions()
    options.binary_location = str(services.require("chromium"))
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}", *flags):
        options.add_argument(flag)
    # With the paths of both given, selenium looks for neither on the network.
    chrome = Chrome(options, Service(str(driver), log_output=str(folder / "chromedriver.log")))
    try:
        chrome.set_page_load_timeout(30)
        yield chrome
    finally:
        chrome.quit()
