"""Which forms are our own, and where a login may lead: no other site, whatever it is asked."""

from __future__ import annotations

import pytest

from bootpress.entrypoints.api.problems import Problem
from bootpress.entrypoints.console.csrf import HOME, require_same_origin, safe_return_path

PUBLIC_URL = "https://press.example.org"
HOST = "127.0.0.1:8480"


@pytest.mark.parametrize(
    "path",
    [
        "/app",
        "/app/publications",
        "/app/publications/7c1f8a4e-0000-4000-8000-000000000000",
        "/app/publications?platform=edge-amd64.v1_x",
    ],
)
def test_a_page_of_the_console_is_returned_to(path: str) -> None:
    assert safe_return_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/app",
        "http:/app",
        "javascript:alert(1)",
        "/application",
        "/app//evil.example",
        "/app/../evil",
        "/app/./x",
        "/app/%2e%2e/evil",
        "/app\\evil",
        "/app/publications\n",
        "/app/publications\r\nSet-Cookie: a=b",
        "/app/publications?platform=edge&next=//evil.example",
        "/app/publications#top",
        "/app/é",
        "/app/login",
        "/app/logout",
        "/app/login?platform=edge",
        " /app",
        "/app/" + "x" * 300,
    ],
)
def test_anything_else_leads_to_the_first_page(path: str) -> None:
    assert safe_return_path(path) == HOME


OURS = [
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin", "origin": "null"},
    {"origin": f"http://{HOST}", "host": HOST},
    {"origin": "https://press.example.org", "host": "10.0.0.1:8480"},
    {"origin": "https://press.example.org", "host": "press.example.org:443"},
    {"origin": "http://PRESS.example", "host": "press.example:80"},
    {"origin": "http://[::1]:8480", "host": "[::1]:8480"},
]
FOREIGN = [
    {},
    {"host": HOST},
    {"origin": "", "host": HOST},
    {"origin": "null", "host": HOST},
    {"origin": "https://evil.example", "host": HOST},
    {"origin": "http://127.0.0.1:4200", "host": HOST},
    {"origin": "http://press.example.org", "host": HOST},
    {"origin": "https://press.example.org:8443", "host": HOST},
    {"origin": "https://press.example.org.evil.example", "host": HOST},
    {"origin": "http://[::1", "host": HOST},
    {"origin": f"http://{HOST}:99999", "host": HOST},
    {"origin": f"file://{HOST}", "host": HOST},
    {"origin": "http://", "host": ""},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": ""},
    {"sec-fetch-site": "same-origin, cross-site"},
    {"sec-fetch-site": "cross-site", "origin": f"http://{HOST}", "host": HOST},
]


@pytest.mark.parametrize("headers", OURS)
def test_a_form_of_our_own_pages_is_taken(headers: dict[str, str]) -> None:
    require_same_origin(headers, public_url=PUBLIC_URL)


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_form_of_another_page_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Problem, match="not sent by a page of this console") as refused:
        require_same_origin(headers, public_url=PUBLIC_URL)
    assert refused.value.status == 403
