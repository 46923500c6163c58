"""The console on a real server, with publications behind it that went the whole way."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from uuid import UUID

import httpx

from bootpress.core.accounts import service as accounts
from bootpress.core.rate_limit import RateLimiter
from bootpress.settings import Settings
from tests.support.api import serving
from tests.support.core_harness import CoreHarness

COOKIE = "bootpress_session"
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
FAST = RateLimiter(rate=10_000, burst=10_000)


@dataclass(frozen=True)
class Console:
    """A running console, and what a person at a browser does with it."""

    world: CoreHarness
    http: httpx.Client
    token: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def mint(self, *permissions: str, account: str = "acme") -> tuple[UUID, str]:
        """Mint a token in an account; return its id and its text."""
        account_id = accounts.create_account(self.world.context, account)
        return accounts.create_token(self.world.context, account_id=account_id, name="reader", permissions=permissions)

    def log_in(self, token: str | None = None, *, after: str = "/app/publications") -> httpx.Response:
        """Send the login form as a browser does; the client keeps the cookie."""
        form = {"token": token or self.token, "next": after}
        return self.http.post("/app/login", data=form, headers=SAME_SITE)

    def forget(self) -> None:
        """Close the browser."""
        self.http.cookies.clear()

    def fail(self) -> UUID:
        """Announce an image that nobody signed; return the publication that failed."""
        delivery_id = self.world.announce(ref=f"127.0.0.1:5000/os/images@{self.world.images.image(sign=False)}")
        assert self.world.process(delivery_id) != "published"
        publication_id = self.world.delivery(delivery_id).publication_id
        assert publication_id is not None
        return publication_id


@contextmanager
def running_console(
    folder: Path, *, public_url: str = "http://127.0.0.1", rates: RateLimiter = FAST
) -> Iterator[Console]:
    """Serve a world of one account with a platform `edge`; its clock stands still."""
    url = f"sqlite:///{folder / 'catalog.db'}"
    world = CoreHarness(url)
    world.context = dataclasses.replace(world.context, public_url=public_url)
    settings = Settings(database_url=url, encryption_key=world.keys[0])
    _, token = accounts.create_token(world.context, account_id=world.account_id, name="admin", permissions=["*"])
    world.platform()
    with serving(world.context, settings, rates) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        yield Console(world, http, token, port)
    world.catalog.close()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def handle_data(self, data: str) -> None:
        self.said.append(data)


def text_of(answer: httpx.Response) -> str:
    """Return the words of a page, as a reader sees them."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    parser = _Text()
    parser.feed(answer.text)
    return re.sub(r"\s+", " ", "".join(parser.said)).strip()
