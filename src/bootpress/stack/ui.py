"""`bootpress ui`: the Prefect UI and the console in the browser, signed in by one-time codes.

Command lines of a browser are readable for every user of the machine, so it is started with the path of a private file
that leads on to the address (Jupyter's redirect file). Whoever prints the addresses sees codes, and no secret.
"""

from __future__ import annotations

import html
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bootpress.adapters.prefect_api.guard import SIGN_IN as PREFECT_SIGN_IN
from bootpress.entrypoints.console.csrf import SIGN_IN as CONSOLE_SIGN_IN
from bootpress.settings import Settings
from bootpress.sign_in import codes_of
from bootpress.stack.environment import absolute
from bootpress.stack.errors import StackFailed
from bootpress.stack.home import Home, write_private

_PAGE: Final = """<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">
<meta http-equiv="refresh" content="0; url={address}"><title>bootpress</title><a href="{address}">Go on</a>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """A page to open: `address` signs in, where it can, and is good once."""

    name: str
    title: str
    address: str


def ui(settings: Settings, *, only_print: bool) -> None:
    """Open both pages, or print their addresses; StackFailed where no stack runs or no browser starts."""
    home = Home(absolute(settings).home)
    pages = sign_in_pages(home)
    if not only_print:
        if all(_open(home, page) for page in pages):
            return
        print("No browser can be started here. Open these addresses; each is good once, for two minutes:")  # noqa: T201 - a command's output
    for page in pages:
        print(f"{page.title}: {page.address}")  # noqa: T201 - as above


def sign_in_pages(home: Home) -> list[Page]:
    """Return the pages of a running stack; Prefect signs in where it is the stack's own."""
    endpoints = home.read_endpoints() if home.is_locked() else None
    if endpoints is None:
        hint = "start it with `bootpress up`; where it runs in another folder: --home, or BOOTPRESS_HOME"
        raise StackFailed(f"bootpress does not run in {home.folder}", hint=hint)
    return [_prefect(home, endpoints), _console(home, endpoints)]


def _prefect(home: Home, endpoints: dict[str, Any]) -> Page:
    url = str(endpoints["prefect_url"]).rstrip("/")
    if "prefect" in endpoints["pids"]:
        url += f"{PREFECT_SIGN_IN}?code={codes_of(home.folder, 'prefect').make()}"
    return Page("prefect", "Prefect UI", url)


def _console(home: Home, endpoints: dict[str, Any]) -> Page:
    code = codes_of(home.folder, "console").make()
    return Page("console", "console", f"{endpoints['api_url']}{CONSOLE_SIGN_IN}?code={code}")


def _open(home: Home, page: Page) -> bool:
    path: Path = home.run / f"open-{page.name}.html"
    write_private(path, _PAGE.format(address=html.escape(page.address)))
    return webbrowser.open(path.as_uri())
