"""Who gets into the console, for how long, and what other sites can do about it."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest

from bootpress.core.accounts import service as accounts
from bootpress.core.rate_limit import RateLimiter
from tests.support.console import COOKIE, SAME_SITE, Console, running_console, text_of

HOME = "/app/publications"


def cookie_of(answer: httpx.Response) -> str:
    found: str = answer.headers["set-cookie"]
    return found


def test_without_a_session_every_page_leads_to_the_login_and_back(console: Console) -> None:
    page = f"{HOME}/{console.world.publish()}"
    assert console.http.get("/app").headers["location"] == "/app/login"
    for path in (HOME, f"{HOME}?platform=edge", page):
        answer = console.http.get(path)
        assert answer.status_code == 303
        login = urlsplit(answer.headers["location"])
        assert (login.netloc, login.path, parse_qs(login.query)) == ("", "/app/login", {"next": [path]})
        form = console.http.get(answer.headers["location"])
        assert f'name="next" value="{path}"' in form.text
        answer = console.log_in(after=path)
        assert (answer.status_code, answer.headers["location"]) == (303, path)
        assert console.http.get(path).status_code == 200
        console.forget()


def test_the_login_is_a_labelled_form_without_a_script(console: Console) -> None:
    answer = console.http.get("/app/login")
    assert answer.status_code == 200
    assert "API token" in text_of(answer)
    assert '<label for="token">' in answer.text
    assert 'type="password"' in answer.text
    assert "<script" not in answer.text
    assert "set-cookie" not in answer.headers


def test_who_is_logged_in_is_led_on(console: Console) -> None:
    console.log_in()
    assert console.http.get("/app").headers["location"] == HOME
    answer = console.http.get("/app/login", params={"next": f"{HOME}?platform=edge"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HOME}?platform=edge")


def test_the_session_is_a_cookie_of_one_host_and_path_that_no_script_can_read(console: Console) -> None:
    said = cookie_of(console.log_in())
    name, _, rest = said.partition("=")
    attributes = {one.strip().lower() for one in rest.split(";")[1:]}
    assert name == COOKIE
    assert attributes == {"httponly", "samesite=lax", "path=/app", "max-age=43200"}
    assert console.token not in said


def test_behind_https_the_cookie_is_sent_over_https_only(tmp_path: Path) -> None:
    with running_console(tmp_path, public_url="https://press.example") as console:
        said = cookie_of(console.log_in())
        assert said.startswith(f"__Secure-{COOKIE}=")
        assert "; secure" in said.lower()
        sent = said.partition(";")[0]
        assert console.http.get(HOME, headers={"Cookie": sent}).status_code == 200


@pytest.mark.parametrize("token", ["", "bp_wrong", "x" * 5_000, "é\n\x00", "bp_' OR 1=1 --"])
def test_a_token_that_nobody_has_is_401_and_asked_for_again(console: Console, token: str) -> None:
    form = {"token": token, "next": f"{HOME}?platform=edge"}
    answer = console.http.post("/app/login", data=form, headers=SAME_SITE)
    assert answer.status_code == 401
    assert "This token is not accepted" in text_of(answer)
    assert f'value="{HOME}?platform=edge"' in answer.text
    assert "set-cookie" not in answer.headers
    assert not token or token not in answer.text


def test_spaces_around_a_pasted_token_do_not_matter(console: Console) -> None:
    assert console.log_in(f"  {console.token}\n").status_code == 303


def test_a_revoked_token_loses_access_at_once(console: Console) -> None:
    token_id, token = console.mint("*")
    console.log_in(token)
    assert console.http.get(HOME).status_code == 200
    accounts.revoke_token(console.world.context, account_id=console.world.account_id, token_id=token_id)
    answer = console.http.get(f"{HOME}?platform=edge")
    assert answer.status_code == 401
    assert "Your session is over" in text_of(answer)
    assert f'value="{HOME}?platform=edge"' in answer.text
    assert "max-age=0" in cookie_of(answer).lower()
    assert COOKIE not in console.http.cookies


def test_a_session_ends_after_twelve_hours_even_for_a_browser_that_keeps_it(console: Console) -> None:
    sent = cookie_of(console.log_in()).partition(";")[0]
    console.forget()
    console.world.clock.advance(hours=11, minutes=59)
    assert console.http.get(HOME, headers={"Cookie": sent}).status_code == 200
    console.world.clock.advance(minutes=1)
    assert console.http.get(HOME, headers={"Cookie": sent}).status_code == 401


def test_a_token_that_expires_ends_its_session(console: Console) -> None:
    world = console.world
    expires_at = world.clock.now() + timedelta(hours=1)
    _, token = accounts.create_token(
        world.context, account_id=world.account_id, name="brief", permissions=["*"], expires_at=expires_at
    )
    console.log_in(token)
    assert console.http.get(HOME).status_code == 200
    world.clock.advance(hours=1)
    assert console.http.get(HOME).status_code == 401


def test_what_was_not_sealed_as_a_session_is_none(console: Console) -> None:
    sealed = cookie_of(console.log_in()).partition(";")[0].partition("=")[2].strip('"')
    console.forget()
    other = json.dumps({"kind": "other", "token": console.token, "until": "2999-01-01T00:00:00+00:00"})
    seal = console.world.context.secrets.encrypt
    forged = [
        "",
        "x",
        console.token,
        sealed[:-1],
        sealed.swapcase(),
        "A" * 4_000,
        seal(console.token).decode(),
        seal("[1]").decode(),
        seal("{}").decode(),
        seal(other).decode(),
    ]
    for value in forged:
        answer = console.http.get(HOME, headers={"Cookie": f"{COOKIE}={value}"})
        assert answer.status_code == 401, value
        assert console.http.get("/app/login", headers={"Cookie": f"{COOKIE}={value}"}).status_code == 200
    assert console.http.get(HOME, headers={"Cookie": f"{COOKIE}={sealed}"}).status_code == 200


def test_a_session_of_another_installation_is_none(console: Console, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with running_console(tmp_path / "other") as other:
        sent = cookie_of(other.log_in()).partition(";")[0]
    assert console.http.get(HOME, headers={"Cookie": sent}).status_code == 401


def test_a_bearer_token_opens_no_page(console: Console) -> None:
    answer = console.http.get(HOME, headers={"Authorization": f"Bearer {console.token}"})
    assert answer.status_code == 303


def test_a_session_is_no_credential_for_the_api(console: Console) -> None:
    sent = cookie_of(console.log_in()).partition(";")[0]
    answer = console.http.post("/api/v1/operations/recent_events", headers={"Cookie": sent})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_logs_nobody_in_and_nobody_out(console: Console, headers: dict[str, str]) -> None:
    form = {"token": console.token, "next": HOME}
    answer = console.http.post("/app/login", data=form, headers=headers)
    assert answer.status_code == 403
    assert "not sent by a page of this console" in text_of(answer)
    assert "set-cookie" not in answer.headers
    console.log_in()
    answer = console.http.post("/app/logout", data={"next": HOME}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_browser_that_only_says_its_origin_logs_in(console: Console) -> None:
    form = {"token": console.token, "next": HOME}
    assert console.http.post("/app/login", data=form, headers={"Origin": console.url}).status_code == 303


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example/app", "/app/login", "/api/openapi.json"])
def test_a_login_leads_to_no_other_place_than_the_console(console: Console, after: str) -> None:
    form = console.http.get("/app/login", params={"next": after})
    assert f'name="next" value="{HOME}"' in form.text
    assert console.log_in(after=after).headers["location"] == HOME
    assert console.http.get("/app/login", params={"next": after}).headers["location"] == HOME


def test_logging_out_forgets_the_session_and_leads_back_with_another_token(console: Console) -> None:
    page = f"{HOME}/{uuid4()}"
    console.log_in()
    answer = console.http.post("/app/logout", data={"next": page}, headers=SAME_SITE)
    assert answer.status_code == 303
    assert parse_qs(urlsplit(answer.headers["location"]).query) == {"next": [page]}
    assert "max-age=0" in cookie_of(answer).lower()
    assert console.http.get(HOME).status_code == 303


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"token=" + b"x" * 9_000, "application/x-www-form-urlencoded", 413),
        (b'{"token": "x"}', "application/json", 415),
        (b"token=x", "", 415),
        (b"&".join(b"f%d=1" % number for number in range(20)), "application/x-www-form-urlencoded", 400),
        (b"token=\xff", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 401),
        (b"token=%ff%00", "application/x-www-form-urlencoded; charset=utf-8", 401),
    ],
)
def test_what_is_no_form_is_refused_in_words(console: Console, content: bytes, media_type: str, status: int) -> None:
    headers = SAME_SITE | {"Content-Type": media_type}
    answer = console.http.post("/app/login", content=content, headers=headers)
    assert answer.status_code == status
    assert "bootpress" in text_of(answer)


def test_a_token_that_asks_too_often_is_told_when_to_come_back(tmp_path: Path) -> None:
    with running_console(tmp_path, rates=RateLimiter(rate=0.01, burst=3)) as console:
        console.log_in()
        assert [console.http.get(HOME).status_code for _ in range(3)] == [200, 200, 429]
        answer = console.http.get(HOME)
        assert "Too Many Requests" in text_of(answer)
        assert int(answer.headers["retry-after"]) >= 1


def test_a_token_stands_in_no_page_and_in_no_log(console: Console, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    console.log_in()
    pages = [console.http.get(path).text for path in (HOME, "/app/login", "/app/nothing")]
    assert console.token not in "".join(pages)
    assert console.token not in caplog.text
