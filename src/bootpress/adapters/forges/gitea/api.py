"""Gitea's REST API: tries, deadlines, bounded answers, pages. The token goes to one origin and into no message."""

from __future__ import annotations

import http.cookiejar
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import TypeVar

import httpx

from bootpress.adapters.forges.gitea.limits import Limits
from bootpress.adapters.forges.gitea.paths import with_query
from bootpress.adapters.forges.gitea.responses import GiteaResponse, error_for, origin
from bootpress.adapters.forges.gitea.retry import AmbiguousOutcome, GiteaRetryPolicy, RetryableFailure
from bootpress.adapters.forges.gitea.schemas import GiteaModel, UserDocument, VersionDocument
from bootpress.adapters.forges.gitea.transport import Deadline, Transport
from bootpress.adapters.forges.gitea.versions import Feature, Version, unsupported_error
from bootpress.core.errors import ForgeRefused, ForgeUnavailable
from bootpress.http_client.clock import Clock
from bootpress.http_client.retry import read_retry_after

BUSY = frozenset({408, 429, 500, 502, 503, 504})
MAX_REFUSAL = 64 * 1024
SAFE_TO_RETRY_ERRORS = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Nothing was sent: another try cannot do a thing twice."""
UNREACHABLE = "is it running, and can this machine reach it? One that has moved: system_connect_forge with its new URL"
D = TypeVar("D", bound=GiteaModel)
T = TypeVar("T")


class TooLarge(ForgeRefused):
    """A good answer has more bytes than we read."""


class GiteaApi:
    """One Gitea, spoken to with one token; shared by threads. Constructing it does no I/O."""

    def __init__(
        self, url: str, token: str | None, *, limits: Limits | None = None, timing: Clock | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self.limits, self._timing = limits or Limits(), timing or Clock()
        self._token = token
        self._lock = threading.Lock()
        self._version: Version | None = None
        self._user: str | None = None
        self._deadline = Deadline(self._timing.monotonic)
        # Nothing is compressed, so that what we bound is what we get, and no session of Gitea's outlives an answer.
        headers = {"accept-encoding": "identity", "user-agent": "bootpress"}
        self._http = httpx.Client(
            headers=headers | ({"authorization": f"token {token}"} if token else {}),
            cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            transport=Transport(httpx.URL(self.url), self._deadline, connections=self.limits.connections),
            trust_env=False,
            follow_redirects=False,
        )
        weakref.finalize(self, self._http.close)

    def __repr__(self) -> str:
        """Say where, and nothing of the token."""
        return f"GiteaApi({self.url!r})"

    def version(self, *, again: bool = False) -> Version:
        """Return Gitea's version; asked for once, or again."""
        with self._lock:
            known = self._version
        if known is None or again:
            to = "say its version"
            known = Version.parse(self.request("GET", "/version", to=to).read(VersionDocument, to=to).version)
            with self._lock:
                self._version = known
        return known

    def user(self, *, again: bool = False, said: str | None = None) -> str:
        """Return the login of our token's user; asked for once, or again, and not where somebody `said` it."""
        with self._lock:
            known = self._user = self._user or said
        if known is None or again:
            to = "say whose token ours is"
            known = self.request("GET", "/user", to=to).read(UserDocument, to=to).login
            with self._lock:
                self._user = known
        return known

    def request(
        self,
        method: str,
        path: str,
        *,
        to: str,
        body: Mapping[str, object] | None = None,
        accept: Collection[int] = (),
        feature: Feature | None = None,
        is_repeatable: bool = True,
        hide: str | None = None,
    ) -> GiteaResponse:
        """Make a call, again where that may help; return a good answer, or one of Gitea's with an accepted status.

        `to` completes "asked to …" in messages. `path` comes after `/api/v1`, quoted. A call that is not repeatable is
        made again only if it was certainly not carried out, and is Unsettled if it may have been. `hide` is a secret of
        the body, which is in no message. Raises ForgeUnavailable, ForgeRefused, NotFound, and Unsupported where this
        version has no such route.
        """
        url = httpx.URL(f"{self.url}/api/v1{path}")
        answer = self._ask(method, url, body, to=to, is_repeatable=is_repeatable, hide=hide)
        self._judge(answer, url, to=to, accept=accept, feature=feature)
        return answer

    def request_raw(
        self, method: str, path: str, *, to: str, body: Mapping[str, object] | None = None
    ) -> GiteaResponse:
        """Make a call as `call` does, and return the answer whatever it is; `path` is the whole of it."""
        return self._ask(method, httpx.URL(self.url + path), body, to=to)

    def paginate(
        self,
        path: str,
        kind: type[D],
        *,
        to: str,
        key: str | None = None,
        feature: Feature | None = None,
        size: int | None = None,
    ) -> Iterator[D]:
        """Yield the entries of a list, its pages fetched as they are come to; `key` is where an answer has them.

        The page is always named: without one 1.25 answers with everything, whatever the limit.
        """
        seen = 0
        for number in range(1, self.limits.pages + 1):
            page_path = with_query(path, page=number, limit=size or self.limits.page)
            answer = self.request("GET", page_path, to=to, feature=feature)
            page, total = answer.read_many(kind, key, to=to)
            yield from page
            seen += len(page)
            # It may be told to give fewer than we ask for: a short page ends nothing, an empty one does.
            if not page or (total is not None and seen >= total):
                return
        raise ForgeRefused(f"asked to {to}, Gitea has more than {seen} entries, which is more than we read")

    @contextmanager
    def stream(self, path: str, *, to: str, feature: Feature) -> Iterator[Iterator[bytes] | None]:
        """Give the bytes of a text as they come, None where Gitea has none (404); its reader may leave early.

        Raises what `call` does, and while it is read ForgeUnavailable when it breaks off or takes too long.
        """
        url = httpx.URL(f"{self.url}/api/v1{path}")
        deadline = self._timing.monotonic() + self.limits.log_seconds
        with ExitStack() as stack:
            opened = self._patiently(lambda: stack.enter_context(self._opened("GET", url, None, deadline)), url, to=to)
            if opened.is_success:
                yield self._chunks(opened, deadline, to=to)
                return
            with _unless_broken(url, to=to):
                answer = self._read(opened, deadline, to=to)
        self._judge(answer, url, to=to, accept={HTTPStatus.NOT_FOUND}, feature=feature)
        yield None

    def _patiently(self, attempt: Callable[[], T], url: httpx.URL, *, to: str, is_repeatable: bool = True) -> T:
        retry = GiteaRetryPolicy(self.limits, self._timing)
        while True:
            try:
                return attempt()
            except RetryableFailure as failure:
                if failure.may_be_done and not is_repeatable:
                    raise AmbiguousOutcome(f"asked to {to}, {origin(url)} {failure.reason}") from failure
                retry.wait(failure, who=origin(url), to=to)

    def _ask(
        self,
        method: str,
        url: httpx.URL,
        body: Mapping[str, object] | None,
        *,
        to: str,
        is_repeatable: bool = True,
        hide: str | None = None,
    ) -> GiteaResponse:
        deadline = self._timing.monotonic() + self.limits.call_seconds

        def attempt() -> GiteaResponse:
            with self._opened(method, url, body, deadline) as response:
                return self._read(response, deadline, to=to, hide=hide)

        return self._patiently(attempt, url, to=to, is_repeatable=is_repeatable)

    @contextmanager
    def _opened(
        self, method: str, url: httpx.URL, body: Mapping[str, object] | None, deadline: float
    ) -> Iterator[httpx.Response]:
        """Send one request and give its response, the body still to be read; Failed for what another try may mend."""
        timeout = httpx.Timeout(self.limits.silence_seconds, connect=self.limits.connect_seconds)
        try:
            with (
                self._deadline.until(deadline),
                self._http.stream(method, url, json=body, timeout=timeout) as response,
            ):
                if response.status_code in BUSY:
                    raise RetryableFailure(
                        f"answers {response.status_code}",
                        may_be_done=response.status_code != HTTPStatus.TOO_MANY_REQUESTS,
                        retry_after=read_retry_after(response.headers.get("retry-after"), self._timing.now()),
                    )
                yield response
        except SAFE_TO_RETRY_ERRORS as error:
            reason = f"cannot be reached ({type(error).__name__})"
            raise RetryableFailure(reason, may_be_done=False, hint=UNREACHABLE) from error
        except httpx.HTTPError as error:
            raise RetryableFailure(f"does not answer ({type(error).__name__})", may_be_done=True) from error

    def _read(self, response: httpx.Response, deadline: float, *, to: str, hide: str | None = None) -> GiteaResponse:
        limit = self.limits.answer_bytes if response.is_success else MAX_REFUSAL
        body = bytearray()
        for chunk in self._bytes(response, deadline):
            body += chunk
            if len(body) > limit:
                if response.is_success:
                    raise TooLarge(f"asked to {to}, Gitea answers with more than {limit} bytes")
                break
        secrets = [secret for secret in (self._token, hide) if secret]
        return GiteaResponse(response.status_code, response.headers, bytes(body[:limit]), secrets)

    def _bytes(self, response: httpx.Response, deadline: float) -> Iterator[bytes]:
        encoding = response.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", ""}:
            raise ForgeUnavailable(
                f"{origin(response.request.url)} sends content encoded as {encoding[:40]!r}, though none was asked for",
                hint="turn off compression in Gitea or in the proxy before it",
            )
        for chunk in response.iter_raw():
            yield chunk
            if self._timing.monotonic() > deadline:
                raise RetryableFailure("takes too long to answer", may_be_done=True)

    def _chunks(self, response: httpx.Response, deadline: float, *, to: str) -> Iterator[bytes]:
        with _unless_broken(response.request.url, to=to):
            yield from self._bytes(response, deadline)

    def _judge(
        self,
        answer: GiteaResponse,
        url: httpx.URL,
        *,
        to: str,
        accept: Collection[int],
        feature: Feature | None,
    ) -> None:
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if answer.is_json and answer.status in accept:
            return
        if answer.is_unknown_route and feature and not self.version().has(feature):
            raise unsupported_error(self.version(), feature)
        raise error_for(answer, url, to=to)


@contextmanager
def _unless_broken(url: httpx.URL, *, to: str) -> Iterator[None]:
    """Say of a body that broke off while it was read that it did."""
    try:
        yield
    except RetryableFailure as failure:
        raise ForgeUnavailable(f"asked to {to}, {origin(url)} {failure.reason}") from failure
    except httpx.HTTPError as error:
        raise ForgeUnavailable(f"asked to {to}, {origin(url)} broke off ({type(error).__name__})") from error
