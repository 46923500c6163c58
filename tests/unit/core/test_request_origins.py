"""Which requests a server on loopback answers, header by header."""

from __future__ import annotations

import pytest

from bootpress.core.errors import InvalidInput
from bootpress.core.request_origins import Headers, OwnHosts, is_browser, refusal
from bootpress.core.url_validation import check_authorities

PLAIN = OwnHosts()
PROXIED = OwnHosts(frozenset({"prefect.example.org", "inner:4200"}))
HERE = "127.0.0.1:4200"
LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
CHROME = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0 Safari/537.36"}


def headers(host: str = HERE, **others: str) -> Headers:
    given = {"host": host} | {name.replace("_", "-"): value for name, value in others.items()}
    return [(name.encode(), value.encode("latin-1")) for name, value in given.items()]


@pytest.mark.parametrize(
    "host",
    [
        HERE,
        "127.0.0.1",
        "127.8.9.10:1",
        "localhost:4200",
        "LocalHost",
        "localhost.:4200",
        "[::1]:4200",
        "[::1]",
        "localhost:9",
    ],
)
def test_a_loopback_name_at_any_port_is_ours(host: str) -> None:
    assert refusal("POST", headers(host), PLAIN) == ""


@pytest.mark.parametrize(
    "host",
    [
        "",
        "rebind.test:4200",
        "attacker.localhost:4200",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "0.0.0.0:4200",
        "[::]:4200",
        "192.0.2.1:4200",
        "user@127.0.0.1:4200",
        "127.0.0.1:4200@evil.test",
        "127.0.0.1:4200/x",
        "127.0.0.1:port",
        "127.0.0.1:99999",
        "[::1",
        "127.0.0.1 evil.test",
        "127.0.0.1,evil.test",
        "prefect.example.org",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_any_other_host_is_refused(host: str, method: str) -> None:
    assert "Host" in refusal(method, headers(host), PLAIN)


def test_one_host_and_no_more_is_named() -> None:
    assert "no Host" in refusal("GET", [], PLAIN)
    assert "more than one" in refusal("GET", [*headers(), *headers()], PLAIN)


@pytest.mark.parametrize(
    ("target", "is_ours"),
    [
        ("http://127.0.0.1:4200/v2/", True),
        ("http://rebind.test:4200/v2/", False),
        ("rebind.test:4200", False),
        ("http:///v2/", False),
        ("*", True),
    ],
)
def test_a_target_in_absolute_form_names_the_host(target: str, *, is_ours: bool) -> None:
    assert (refusal("GET", headers(), PLAIN, target=target) == "") is is_ours


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [("prefect.example.org", True), ("prefect.example.org:8443", True), ("inner:4200", True), ("inner:4201", False)],
)
def test_an_added_host_is_ours_at_its_port_or_at_any(host: str, *, is_ours: bool) -> None:
    assert (refusal("GET", headers(host), PROXIED) == "") is is_ours


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://127.0.0.1:4201",
        "http://127.0.0.1",
        "http://localhost:4200",
        "http://attacker.localhost:4200",
        "https://evil.example",
        "http://127.0.0.1:4200.evil.example",
        "http://127.0.0.1:4200@evil.example",
        "chrome-extension://abc",
        "file://",
        "http://127.0.0.1:4200/",
        "http://127.0.0.1:4200 http://evil.example",
        "",
    ],
)
def test_a_foreign_origin_is_refused_whatever_else_is_said(origin: str, method: str) -> None:
    for site in ({}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "cross-site", **LINK}):
        assert "origin" in refusal(method, headers(origin=origin, **site), PLAIN)


@pytest.mark.parametrize(
    ("host", "origin", "own"),
    [
        (HERE, f"http://{HERE}", PLAIN),
        ("localhost", "http://localhost", PLAIN),
        ("localhost:80", "http://localhost", PLAIN),
        ("[::1]:4200", "http://[::1]:4200", PLAIN),
        ("prefect.example.org", "https://prefect.example.org", PROXIED),
        (HERE, "https://prefect.example.org", PROXIED),  # a proxy that calls us by our own name
    ],
)
def test_our_own_origin_may_ask(host: str, origin: str, own: OwnHosts) -> None:
    assert refusal("POST", headers(host, origin=origin, **CHROME), own) == ""


def test_two_origins_are_none() -> None:
    assert refusal("POST", [*headers(origin=f"http://{HERE}"), (b"origin", f"http://{HERE}".encode())], PLAIN)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin, cross-site", "anything"])
@pytest.mark.parametrize("mode", ["no-cors", "cors", "websocket"])
@pytest.mark.parametrize("dest", ["image", "script", "iframe", "empty", "document"])
def test_what_another_site_loads_is_refused(site: str, mode: str, dest: str) -> None:
    said = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
    assert "link" in refusal("GET", headers(**said), PLAIN)


@pytest.mark.parametrize("dest", ["iframe", "frame", "embed", "object"])
def test_a_frame_of_another_site_is_refused(dest: str) -> None:
    said = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": dest}
    assert "link" in refusal("GET", headers(**said), PLAIN)


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_link_here_and_not_post(site: str) -> None:
    assert refusal("GET", headers(**{"sec-fetch-site": site}, **LINK), PLAIN) == ""
    assert refusal("POST", headers(**{"sec-fetch-site": site}, **LINK), PLAIN)
    assert refusal("GET", headers(**{"sec-fetch-site": site}, **LINK), PLAIN, is_websocket=True)


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_a_typed_address_and_our_own_page_may_ask(site: str) -> None:
    assert refusal("GET", headers(**{"sec-fetch-site": site}), PLAIN) == ""


def test_a_browser_that_says_nothing_of_its_page_may_only_read() -> None:
    assert refusal("GET", headers(**CHROME), PLAIN) == ""
    assert refusal("POST", headers(**CHROME), PLAIN)
    assert refusal("GET", headers(**CHROME), PLAIN, is_websocket=True)


@pytest.mark.parametrize("agent", ["oras/1.3", "docker/27.0 go/go1.22", "containers/5.32", "curl/8.5.0", ""])
def test_clients_are_no_browsers(agent: str) -> None:
    given = headers(user_agent=agent, sec_websocket_key="x")
    assert not is_browser(given)
    assert refusal("DELETE", given, PLAIN) == ""


@pytest.mark.parametrize("said", [CHROME, {"origin": "null"}, {"sec-fetch-mode": "cors"}, {"sec-ch-ua": "x"}])
def test_every_browser_says_what_it_is(said: dict[str, str]) -> None:
    assert is_browser(headers(**said))


def test_a_refusal_repeats_little_and_nothing_that_a_terminal_obeys() -> None:
    said = refusal("GET", headers("\x1b[2J" + "x" * 5000), PLAIN)
    assert "\x1b" not in said
    assert len(said) < 300


def test_hosts_of_the_settings_are_kept_in_one_spelling() -> None:
    given = " Prefect.Example.org , inner:4200,[2001:DB8::1]:443,under_score "
    found = check_authorities(given, field="F")
    assert found == ["prefect.example.org", "inner:4200", "[2001:db8::1]:443", "under_score"]
    assert OwnHosts(found).has("PREFECT.example.org:1")


@pytest.mark.parametrize(
    "given", ["https://x", "x/y", "a b", "*", "*.example.org", "x:99999", "x:0", "u@x", "x:", "[::1"]
)
def test_what_is_no_host_is_refused_by_name(given: str) -> None:
    with pytest.raises(InvalidInput, match="F: "):
        check_authorities(f"good.example,{given}", field="F")
