"""Who asks without a token gets nothing, on every path that there is; what is open is written down here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import UUID

from starlette.routing import Route

from bootpress.entrypoints.api import openapi
from bootpress.entrypoints.api.app import create_app
from bootpress.entrypoints.console.templating import STYLE_PATH
from tests.support.api import ApiServer

OPEN = {
    ("GET", "/healthz"): "says that the process is up, and nothing else",
    ("GET", "/readyz"): "says whether the database is there, and nothing else",
    ("GET", "/app"): "leads to the login",
    ("GET", "/app/"): "leads to the login",
    ("GET", "/app/login"): "asks for a token",
    ("GET", STYLE_PATH): "is the same for everybody",
    ("GET", "/app/{rest:path}"): "says that there is no such page",
    ("POST", "/app/logout"): "ends the session of whoever sends one; a form of our own pages only",
}
"""What answers without a token, and why it may."""


def routes(press: ApiServer) -> Iterator[tuple[str, str]]:
    """Yield every method and path template; a mounted application would hide its own, so there is to be none."""
    for route in create_app(press.context, settings=press.settings).routes:
        assert isinstance(route, Route), f"{route!r} is no route whose paths can be seen"
        assert route.methods
        for method in sorted(route.methods):
            yield method, route.path


def filled(template: str) -> str:
    return re.sub(r"\{\w+(:path)?\}", str(UUID(int=0)), template)


def test_every_route_that_is_not_named_as_open_wants_a_token(shared: ApiServer) -> None:
    asked = list(routes(shared))
    assert len(asked) > 15
    for method, path in asked:
        answer = shared.http.request(method, filled(path), headers={"Content-Type": "application/json"})
        if ("GET" if method == "HEAD" else method, path) in OPEN:
            assert answer.status_code in {200, 303, 403, 404}, (method, path, answer.status_code)
        elif path.startswith("/app/") and method in {"GET", "HEAD"} and answer.status_code == 303:
            assert answer.headers["location"].startswith("/app/login?"), (method, path)
        else:
            assert answer.status_code in {401, 403}, (method, path, answer.status_code)


def test_what_is_open_is_there(shared: ApiServer) -> None:
    assert OPEN.keys() <= set(routes(shared))


def test_what_is_open_tells_nothing_of_the_installation(shared: ApiServer) -> None:
    platform = shared.create_platform("not-for-all")
    for method, path in OPEN:
        answer = shared.http.request(method, filled(path))
        for word in ("not-for-all", platform["id"], shared.token, str(shared.account_id)):
            assert word not in answer.text


def test_the_document_knows_every_route_but_the_consoles_pages(shared: ApiServer) -> None:
    documented = {(method.upper(), path) for path, item in openapi.document()["paths"].items() for method in item}
    operations = {one for one in documented if one[1].startswith("/api/v1/operations/")}
    there = {one for one in routes(shared) if one[0] != "HEAD" and not one[1].startswith("/app")}
    assert documented - operations | {("POST", "/api/v1/operations/{name}")} == there
