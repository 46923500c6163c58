"""What becomes of a Gitea that refuses, breaks, dawdles or is something else: told by a server that does as asked."""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import logging
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bootpress.adapters.forges.gitea import Clock, GiteaForge, Limits
from bootpress.core.errors import BootpressError, ForgeRefused, ForgeUnavailable, NotFound, Unsupported
from bootpress.core.ports import ForgeConnection, ForgeKind, GitRepository
from tests.support.scripted_forge import HOME, Reply, ScriptedForge, refused, repository, said

REPOSITORY = GitRepository.parse(HOME)
TOKEN = "f00d" * 10
SECRET = "correct horse battery staple"
HTML = "text/html; charset=utf-8"
PROJECT = f"GET /repos/{HOME}"
SECRETS = f"GET /repos/{HOME}/actions/secrets"
RUNS = f"GET /repos/{HOME}/actions/runs"


class SkippingClock:
    """Time that passes only in waits, which are remembered."""

    def __init__(self) -> None:
        self.now, self.waits = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    @property
    def timing(self) -> Clock:
        return Clock(monotonic=lambda: self.now, sleep=self.sleep, jitter=lambda: 0.0)


@pytest.fixture
def waits() -> SkippingClock:
    return SkippingClock()


@pytest.fixture
def forge(scripted: ScriptedForge, waits: SkippingClock) -> GiteaForge:
    return GiteaForge(scripted.url, TOKEN, timing=waits.timing)


def test_the_token_goes_in_a_header_and_is_in_no_repr_and_no_log(
    scripted: ScriptedForge, forge: GiteaForge, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert forge.find_repository(REPOSITORY) is not None
    assert {asked.authorization for asked in scripted.asked} == {f"token {TOKEN}"}
    assert not any(TOKEN in asked.path for asked in scripted.asked)
    shown = [repr(forge), str(forge), repr(forge._api), repr(ForgeConnection("x", ForgeKind.GITEA, "u", TOKEN))]
    assert not any(TOKEN in text for text in [*shown, caplog.text])
    assert caplog.records


def test_a_wrong_token_is_refused_and_the_hint_says_where_to_get_one(
    scripted: ScriptedForge, forge: GiteaForge
) -> None:
    scripted.answers["GET /user"] = [refused(401, f"invalid token {TOKEN}")]
    with pytest.raises(ForgeRefused, match="does not accept our token") as wrong:
        forge.check()
    assert "system_connect_forge" in (wrong.value.hint or "")
    assert TOKEN not in str(wrong.value)


@pytest.mark.parametrize(
    ("required", "held", "named"),
    [
        ("write:repository", "read:repository,write:user", ["write:repository"]),
        ("write:organization write:repository", "write:repository", ["write:organization"]),
        ("read:user", "", ["read:user"]),
    ],
)
def test_a_missing_scope_is_named(
    scripted: ScriptedForge, forge: GiteaForge, required: str, held: str, named: list[str]
) -> None:
    words = f"token does not have at least one of required scope(s), required=[{required}], token scope={held}"
    scripted.answers[f"PUT /repos/{HOME}/actions/secrets/A"] = [refused(403, words)]
    with pytest.raises(ForgeRefused) as lacking:
        forge.set_secret(REPOSITORY, "A", SECRET)
    for scope in named:
        assert scope in lacking.value.message
        assert scope in (lacking.value.hint or "")
    assert all(scope in named for scope in required.split() if scope in lacking.value.message)


def test_a_secret_that_is_refused_is_named_and_never_told(scripted: ScriptedForge, forge: GiteaForge) -> None:
    scripted.answers[f"PUT /repos/{HOME}/actions/secrets/A"] = [refused(400, f"{SECRET} is no good value")]
    with pytest.raises(ForgeRefused, match="secret A of keeper/disk-images") as bad:
        forge.set_secret(REPOSITORY, "A", SECRET)
    assert SECRET not in str(bad.value)
    scripted.answers[f"POST /repos/{HOME}/actions/variables/B"] = [refused(422, "too long")]
    with pytest.raises(ForgeRefused, match=r"variable B of keeper/disk-images .*too long"):
        forge.set_variable(REPOSITORY, "B", "x")


def test_no_line_of_a_secret_is_told_however_it_is_repeated(scripted: ScriptedForge, forge: GiteaForge) -> None:
    key = "-----BEGIN KEY-----\nc2VjcmV0IGxpbmUgb25l\n-----END KEY-----\n"
    scripted.answers[f"PUT /repos/{HOME}/actions/secrets/A"] = [refused(400, f"no good: {json.dumps(key)}")]
    with pytest.raises(ForgeRefused, match="secret A of keeper/disk-images") as bad:
        forge.set_secret(REPOSITORY, "A", key)
    assert "c2VjcmV0" not in str(bad.value)


@pytest.mark.parametrize("status", [404, 422])
def test_our_token_is_in_no_refusal_of_a_dispatch(scripted: ScriptedForge, forge: GiteaForge, status: int) -> None:
    path = f"POST /repos/{HOME}/actions/workflows/build.yml/dispatches"
    scripted.answers[path] = [refused(status, f"not with the token {TOKEN}")]
    with pytest.raises((ForgeRefused, NotFound)) as bad:
        forge.dispatch(REPOSITORY, "build.yml", ref="main", inputs={}, dispatch_id=None)
    assert TOKEN not in str(bad.value)


def test_a_busy_forge_is_waited_for_as_long_as_it_asks(
    scripted: ScriptedForge, forge: GiteaForge, waits: SkippingClock
) -> None:
    busy = said({"message": "slow down"}, 429, Retry_After="3")
    scripted.answers[PROJECT] = [busy, busy, repository()]
    assert forge.find_repository(REPOSITORY) is not None
    assert waits.waits == [3.0, 3.0]


def test_a_wait_without_end_is_cut_and_told_on(
    scripted: ScriptedForge, forge: GiteaForge, waits: SkippingClock
) -> None:
    scripted.answers[PROJECT] = [said({}, 429, Retry_After="86400")]
    with pytest.raises(ForgeUnavailable, match="answers 429") as busy:
        forge.find_repository(REPOSITORY)
    assert busy.value.retry_after == Limits().longest_wait_seconds
    assert sum(waits.waits) <= Limits().call_seconds
    assert all(wait <= Limits().longest_wait_seconds for wait in waits.waits)


def test_a_forge_that_breaks_is_tried_again_later_and_later(
    scripted: ScriptedForge, forge: GiteaForge, waits: SkippingClock
) -> None:
    broken = Reply(502, b"<html>bad gateway</html>", HTML)
    scripted.answers[PROJECT] = [broken, Reply(hangs_up=True), refused(500, "deadlock"), repository()]
    assert forge.find_repository(REPOSITORY) is not None
    assert waits.waits == [0.5, 1.0, 2.0]
    scripted.answers[PROJECT] = [broken]
    with pytest.raises(ForgeUnavailable, match="answers 502"):
        forge.find_repository(REPOSITORY)


def test_a_forge_that_is_not_there_is_unavailable(waits: SkippingClock) -> None:
    gone = ScriptedForge()
    gone.close()
    with pytest.raises(ForgeUnavailable, match="cannot be reached") as caught:
        GiteaForge(gone.url, TOKEN, timing=waits.timing).check()
    assert "system_connect_forge" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(200, b"<html>Sign in</html>", HTML), ForgeUnavailable),
        (Reply(403, b"<html>Blocked</html>", HTML), ForgeRefused),
        (Reply(404, b"<html>No such site</html>", HTML), ForgeRefused),
        (Reply(200, b"OK", "text/plain"), ForgeUnavailable),
    ],
)
def test_the_page_of_a_proxy_is_told_from_gitea(
    scripted: ScriptedForge, forge: GiteaForge, reply: Reply, kind: type[BootpressError]
) -> None:
    scripted.answers["GET /version"] = [reply]
    with pytest.raises(kind, match=f"not Gitea's API .status {reply.status}") as other:
        forge.check()
    assert "proxy" in (other.value.hint or "")
    scripted.answers[PROJECT] = [reply]
    with pytest.raises(kind):
        forge.find_repository(REPOSITORY)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'{"full_name": "keeper/disk-images"}',
        json.dumps({"owner": {"login": 7}}).encode(),
        b'{"owner": {"login": "\\ud800"}}',
        b"\xff",
    ],
)
def test_an_answer_that_gitea_would_not_give_is_unavailable(
    scripted: ScriptedForge, forge: GiteaForge, body: bytes
) -> None:
    scripted.answers[PROJECT] = [Reply(200, body)]
    with pytest.raises(ForgeUnavailable):
        forge.find_repository(REPOSITORY)


def test_an_answer_without_end_is_not_read_to_it(scripted: ScriptedForge, waits: SkippingClock) -> None:
    small = Limits(answer_bytes=100_000)
    sent = list[int]()

    def endless() -> Iterator[bytes]:
        while True:
            sent.append(1)
            yield b" " * 65536

    scripted.answers[PROJECT] = [Reply(200, endless())]
    with pytest.raises(ForgeRefused, match="more than 100000 bytes"):
        GiteaForge(scripted.url, TOKEN, limits=small, timing=waits.timing).find_repository(REPOSITORY)
    assert len(sent) < 1000


def test_compressed_answers_are_refused_and_not_unpacked(scripted: ScriptedForge, forge: GiteaForge) -> None:
    bomb = gzip.compress(bytes(50 * 1024 * 1024))
    scripted.answers[PROJECT] = [Reply(200, bomb, headers={"Content-Encoding": "gzip"})]
    with pytest.raises(ForgeUnavailable, match="gzip"):
        forge.find_repository(REPOSITORY)


def test_a_redirect_to_another_origin_is_named_and_gets_no_token(scripted: ScriptedForge, forge: GiteaForge) -> None:
    other = ScriptedForge()
    try:
        for status in (301, 302, 307, 308):
            leads = f"{other.url}/api/v1/repos/{HOME}?token=hidden"
            scripted.answers[PROJECT] = [Reply(status, b"", HTML, {"Location": leads})]
            with pytest.raises(ForgeRefused, match=other.url) as away:
                forge.find_repository(REPOSITORY)
            assert "hidden" not in str(away.value)
        assert other.asked == []
    finally:
        other.close()


def test_a_repository_that_was_renamed_is_not_taken_for_the_one_that_was_meant(
    scripted: ScriptedForge, forge: GiteaForge
) -> None:
    moved = {"Location": "/api/v1/repos/keeper/other/actions/secrets/A"}
    scripted.answers[f"PUT /repos/{HOME}/actions/secrets/A"] = [Reply(301, b"", HTML, moved)]
    with pytest.raises(ForgeRefused, match="is keeper/other now") as renamed:
        forge.set_secret(REPOSITORY, "A", SECRET)
    assert renamed.value.hint == "use its new name"
    assert scripted.calls() == [f"PUT /repos/{HOME}/actions/secrets/A"]


@pytest.mark.parametrize("version", ["1.23.8", "11.0.1+gitea-1.22.0", "v1.9"])
def test_what_a_version_has_not_is_named_with_the_version_that_has_it(
    scripted: ScriptedForge, forge: GiteaForge, version: str
) -> None:
    scripted.answers["GET /version"] = [said({"version": version})]
    scripted.answers[RUNS] = [Reply(404, b"404 page not found\n", "text/plain; charset=utf-8")]
    with pytest.raises(Unsupported, match="no API for workflow runs") as old:
        forge.list_runs(REPOSITORY)
    assert version in old.value.message
    assert old.value.hint == "Gitea 1.25 has it"


def test_a_route_that_a_version_has_and_a_proxy_has_not_is_no_matter_of_versions(
    scripted: ScriptedForge, forge: GiteaForge
) -> None:
    scripted.answers[RUNS] = [Reply(404, b"404 page not found\n", "text/plain; charset=utf-8")]
    with pytest.raises(ForgeRefused, match="not Gitea's API"):
        forge.list_runs(REPOSITORY)


def test_lists_are_read_page_by_page_whatever_the_size_of_a_page(scripted: ScriptedForge, forge: GiteaForge) -> None:
    names = [f"S{number}" for number in range(7)]
    pages = [names[:3], names[3:6], names[6:]]
    scripted.answers[SECRETS] = [said([{"name": name} for name in page], x_total_count="7") for page in pages]
    assert forge.list_secrets(REPOSITORY) == names
    assert [asked.path.partition("?")[2] for asked in scripted.asked] == [f"page={n}&limit=50" for n in (1, 2, 3)]
    scripted.asked.clear()
    scripted.answers[SECRETS] = [said([{"name": name} for name in page]) for page in [*pages, []]]
    assert forge.list_secrets(REPOSITORY) == names  # it does not say how many there are: until a page is empty
    assert len(scripted.asked) == 4
    scripted.answers[SECRETS] = [said(None)]
    assert forge.list_secrets(REPOSITORY) == []


def test_a_list_without_end_is_given_up(scripted: ScriptedForge, waits: SkippingClock) -> None:
    scripted.answers[SECRETS] = [said([{"name": "AGAIN"}], x_total_count="999999999")]
    with pytest.raises(ForgeRefused, match="more than 5 entries"):
        GiteaForge(scripted.url, TOKEN, limits=Limits(pages=5), timing=waits.timing).list_secrets(REPOSITORY)


def test_scopes_are_learnt_by_calls_that_only_read(scripted: ScriptedForge, forge: GiteaForge) -> None:
    words = "token does not have at least one of required scope(s), required=[read:admin], token scope="
    scripted.answers["GET /notifications/new"] = [said({"new": 0})]
    scripted.answers["GET /admin/cron"] = [refused(403, words + "public-only,read:repository,write:notification")]
    scripted.answers["POST /api/actions/ping.v1.PingService/Ping"] = [said({"data": "Hello, !"})]
    info = forge.check()
    assert info.missing_scopes[:3] == ("write:organization", "write:repository", "write:user")
    assert "private" in info.missing_scopes[3]
    assert info.actions_enabled is True
    assert {asked.method for asked in scripted.asked if "ping" not in asked.path} == {"GET"}


def test_a_token_that_may_read_everything_may_or_may_not_write(scripted: ScriptedForge, forge: GiteaForge) -> None:
    scripted.answers["GET /notifications/new"] = [said({"new": 0})]
    assert forge.check().missing_scopes == ("unknown",)


@pytest.mark.parametrize(("status", "enabled"), [(404, False), (200, None), (403, None), (503, None)])
def test_whether_a_forge_runs_workflows_is_told_by_how_it_answers_runners(
    scripted: ScriptedForge, forge: GiteaForge, status: int, enabled: object
) -> None:
    scripted.answers["POST /api/actions/ping.v1.PingService/Ping"] = [Reply(status, b"<html></html>", HTML)]
    assert forge.check().actions_enabled is enabled


def test_setting_a_repository_up_asks_nothing_twice(scripted: ScriptedForge, forge: GiteaForge) -> None:
    scripted.answers |= {
        PROJECT: [refused(404, "not found")],
        "POST /user/repos": [said(json.loads(bytes(_body(repository(empty=True)))), 201)],
        f"GET /repos/{HOME}/git/trees/HEAD": [refused(400, "sha not found [HEAD]")],
        f"POST /repos/{HOME}/contents": [said({"files": []}, 201)],
        f"POST /repos/{HOME}/actions/runners/registration-token": [said({"token": "register"})],
    }
    secrets, variables = ["A", "B", "C"], ["D", "E"]
    for name in secrets:
        scripted.answers[f"PUT /repos/{HOME}/actions/secrets/{name}"] = [Reply(201)]
    for name in variables:
        scripted.answers[f"POST /repos/{HOME}/actions/variables/{name}"] = [Reply(201)]
    assert forge.find_repository(REPOSITORY) is None
    assert forge.create_repository(REPOSITORY).is_empty
    assert forge.add_files(REPOSITORY, {"build.sh": b"1", "a/b": b"2", "a/c": b"3"}, message="Begin")
    for name in secrets:
        forge.set_secret(REPOSITORY, name, SECRET)
    for name in variables:
        forge.set_variable(REPOSITORY, name, "value")
    assert forge.registration_token(REPOSITORY) == "register"
    assert len(scripted.calls()) == len(set(scripted.calls())) == 6 + len(secrets) + len(variables)
    sent = next(asked for asked in scripted.asked if asked.path.endswith("/contents"))
    assert [file["path"] for file in json.loads(sent.body)["files"]] == ["build.sh", "a/b", "a/c"]


def test_a_file_that_somebody_else_adds_meanwhile_is_theirs(scripted: ScriptedForge, forge: GiteaForge) -> None:
    def tree(*paths: str) -> Reply:
        return said({"tree": [{"path": path} for path in paths], "truncated": False})

    scripted.answers[f"GET /repos/{HOME}/git/trees/HEAD"] = [tree(), tree("a")]
    exists = refused(422, "repository file already exists [path: a]")
    scripted.answers[f"POST /repos/{HOME}/contents"] = [exists, said({}, 201)]
    assert forge.add_files(REPOSITORY, {"a": b"1", "b": b"2"}, message="Add") == ["b"]
    scripted.answers[f"GET /repos/{HOME}/git/trees/HEAD"] = [tree()]
    scripted.answers[f"POST /repos/{HOME}/contents"] = [exists]
    with pytest.raises(ForgeRefused, match="already exists"):
        forge.add_files(REPOSITORY, {"a": b"1"}, message="Add")


def test_a_file_above_a_mebibyte_is_not_read(scripted: ScriptedForge, forge: GiteaForge) -> None:
    path = f"GET /repos/{HOME}/contents/big"
    scripted.answers[path] = [said({"type": "file", "size": 1024 * 1024 + 1, "encoding": None, "content": None})]
    with pytest.raises(ForgeRefused, match="big of keeper/disk-images has more than 1048576 bytes"):
        forge.read_file(REPOSITORY, "big")
    scripted.answers[path] = [Reply(200, b'"' + b"x" * 9 * 1024 * 1024 + b'"')]
    with pytest.raises(ForgeRefused, match="has more than 1048576 bytes"):
        forge.read_file(REPOSITORY, "big")
    for odd in ("../secret", "a//b", "/etc/passwd", "", "a/\n"):
        with pytest.raises(BootpressError, match="no path"):
            forge.read_file(REPOSITORY, odd)


JOB: dict[str, Any] = {
    "id": 5,
    "run_id": 3,
    "name": "build",
    "status": "completed",
    "conclusion": "success",
    "created_at": "2026-11-23T10:00:00Z",
    "started_at": "2026-11-23T10:00:01Z",
    "completed_at": "2026-11-23T10:00:02Z",
}
LOG = f"GET /repos/{HOME}/actions/jobs/5/logs"


def with_log(scripted: ScriptedForge, reply: Reply, **job: object) -> None:
    scripted.answers[f"GET /repos/{HOME}/actions/jobs/5"] = [said(JOB | job)]
    scripted.answers[LOG] = [reply]


def test_a_log_of_a_hundred_megabytes_is_streamed_and_left_when_enough_was_read(
    scripted: ScriptedForge, forge: GiteaForge
) -> None:
    piece, sent = b"x" * 65535 + b"\n", list[int]()

    def pieces(count: int) -> Iterator[bytes]:
        for _ in range(count):
            sent.append(1)
            yield piece

    with_log(scripted, Reply(200, pieces(1600), "text/plain"))
    tracemalloc.start()
    try:
        with forge.open_log(REPOSITORY, "5") as log:
            assert sum(len(chunk) for chunk in log) == 1600 * len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
    sent.clear()
    with_log(scripted, Reply(200, pieces(1600), "text/plain"))
    with forge.open_log(REPOSITORY, "5") as log:
        assert next(log)
    assert len(sent) < 1600


def drip() -> Iterator[bytes]:
    while True:
        yield b" "
        time.sleep(0.02)


def test_what_no_database_keeps_is_not_passed_on(scripted: ScriptedForge, forge: GiteaForge) -> None:
    document = {
        "id": 7,
        "path": "build.yml@refs/heads/main",
        "event": "push",
        "display_title": "x",
        "head_sha": "c0ffee\x00",
        "status": "in_progress",
        "html_url": "http://forge/\x00",
        "started_at": "2025-06-01T12:00:00Z",
        "completed_at": "1970-01-01T00:00:00Z",
    }
    scripted.answers[f"{RUNS}/7"] = [said(document), said(document | {"html_url": "x" * 5000})]
    run = forge.find_run(REPOSITORY, "7")
    assert run is not None
    assert (run.head_sha, run.url) == ("c0ffee\N{REPLACEMENT CHARACTER}", "http://forge/\N{REPLACEMENT CHARACTER}")
    with pytest.raises(ForgeUnavailable, match="html_url"):
        forge.find_run(REPOSITORY, "7")


def test_a_log_that_breaks_off_or_dawdles_is_unavailable(scripted: ScriptedForge, forge: GiteaForge) -> None:
    with_log(scripted, Reply(200, [b"begun\n"], "text/plain", is_whole=False))
    with pytest.raises(ForgeUnavailable, match="broke off"), forge.open_log(REPOSITORY, "5") as log:
        list(log)
    with_log(scripted, Reply(200, drip(), "text/plain"))
    hasty = GiteaForge(scripted.url, TOKEN, limits=Limits(log_seconds=0.5))
    with pytest.raises(ForgeUnavailable, match=r"too long|ReadTimeout"), hasty.open_log(REPOSITORY, "5") as log:
        list(log)


def test_a_log_that_is_not_yet_there_is_empty_and_one_that_is_no_more_is_not_found(
    scripted: ScriptedForge, forge: GiteaForge
) -> None:
    absent, epoch = refused(404, "not found"), "1970-01-01T00:00:00Z"
    for status in ("queued", "waiting", "in_progress"):
        with_log(scripted, absent, status=status, conclusion=None, started_at=epoch, completed_at=epoch)
        with forge.open_log(REPOSITORY, "5") as log:
            assert list(log) == []
    with_log(scripted, absent, conclusion="cancelled", started_at=epoch)
    with forge.open_log(REPOSITORY, "5") as log:
        assert list(log) == []
    with_log(scripted, absent)
    with pytest.raises(NotFound, match="any more"), forge.open_log(REPOSITORY, "5"):
        pass


def test_a_server_that_dawdles_over_its_answer_is_left(scripted: ScriptedForge) -> None:
    scripted.answers[PROJECT] = [Reply(200, drip())]
    begun = time.monotonic()
    with pytest.raises(ForgeUnavailable, match=r"too long|ReadTimeout"):
        GiteaForge(scripted.url, TOKEN, limits=Limits(call_seconds=0.5)).find_repository(REPOSITORY)
    assert time.monotonic() - begun < 5


def test_the_proxy_of_the_environment_is_used_but_for_this_machine(
    scripted: ScriptedForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", scripted.url)
    scripted.answers["GET http://forge.example/api/v1/user"] = [said({"login": "keeper"})]
    assert GiteaForge("http://forge.example", TOKEN)._api.user() == "keeper"
    assert GiteaForge(scripted.url, TOKEN)._api.user() == "keeper"
    assert [asked.path for asked in scripted.asked] == ["http://forge.example/api/v1/user", "/api/v1/user"]
    for odd in ("socks5://127.0.0.1:1", "http://"):
        monkeypatch.setenv("http_proxy", odd)
        with pytest.raises(ForgeUnavailable, match="proxy"):
            GiteaForge("http://forge.example", TOKEN)


def test_a_server_that_dawdles_over_its_headers_is_left() -> None:
    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            for number in itertools.count():
                connection.sendall(b"X-%d: 1\r\n" % number)
                time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=serve, args=(listening,))
        server.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(ForgeUnavailable, match="ReadTimeout"):
            GiteaForge(url, TOKEN, limits=Limits(call_seconds=0.5)).find_repository(REPOSITORY)
        assert time.monotonic() - begun < 5
        server.join()


def _body(reply: Reply) -> bytes:
    assert isinstance(reply.body, bytes)
    return reply.body


def test_a_forge_that_goes_down_in_the_middle_is_unavailable_whatever_is_asked(
    scripted: ScriptedForge, forge: GiteaForge
) -> None:
    calls: list[Callable[[], object]] = [
        forge.check,
        lambda: forge.find_repository(REPOSITORY),
        lambda: forge.create_repository(REPOSITORY),
        lambda: forge.enable_actions(REPOSITORY),
        lambda: forge.read_file(REPOSITORY, "a"),
        lambda: forge.add_files(REPOSITORY, {"a": b"1"}, message="Add"),
        lambda: forge.list_secrets(REPOSITORY),
        lambda: forge.set_secret(REPOSITORY, "A", SECRET),
        lambda: forge.delete_secret(REPOSITORY, "A"),
        lambda: forge.list_variables(REPOSITORY),
        lambda: forge.set_variable(REPOSITORY, "A", "1"),
        lambda: forge.dispatch(REPOSITORY, "build.yml", ref="main", inputs={}, dispatch_id=None),
        lambda: forge.list_runs(REPOSITORY),
        lambda: forge.find_run(REPOSITORY, "1"),
        lambda: forge.list_jobs(REPOSITORY, "1"),
        lambda: forge.open_log(REPOSITORY, "1").__enter__(),
        lambda: forge.registration_token(REPOSITORY),
        lambda: forge.list_runners(REPOSITORY),
        lambda: forge.delete_runner(REPOSITORY, "1"),
    ]
    forge.find_repository(REPOSITORY)
    scripted.is_down = True
    for call in calls:
        with pytest.raises(ForgeUnavailable):
            call()
