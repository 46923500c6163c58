"""One conversation with one registry: tries, redirects, tokens and bounds (docs/reference/contract.md#limits)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus

import httpx

from bootpress.adapters.oci.auth import HINT, Authorizer
from bootpress.adapters.oci.connection_pools import ConnectionPools, Network
from bootpress.adapters.oci.credentials import FindCredential
from bootpress.adapters.oci.limits import Limits
from bootpress.adapters.oci.network import ThreadDeadlines, TransferDeadline
from bootpress.adapters.oci.origins import Origin, follow_location, origin_of, registry_url
from bootpress.adapters.oci.responses import (
    RegistryResponse,
    RegistryRetryPolicy,
    RetryableFailure,
    TooLarge,
    raise_if_retryable,
    read_answer,
)
from bootpress.core.errors import RegistryDenied, RegistryUnavailable
from bootpress.http_client.clock import Clock

MAX_TOKEN_ANSWER = 256 * 1024
REDIRECTS = frozenset({301, 302, 303, 307, 308})
Body = Callable[[], Iterable[bytes]]
"""Makes the body of a request anew for each try."""


class Transport:
    """Requests to one registry; shared by threads."""

    def __init__(
        self,
        host: str,
        find_credential: FindCredential,
        *,
        plain_http: bool = False,
        limits: Limits | None = None,
        timing: Clock | None = None,
        network: Network | None = None,
    ) -> None:
        self.limits, self.timing = limits or Limits(), timing or Clock()
        self.host = host
        self.base = registry_url(host, plain_http=plain_http)
        self.origin: Origin = origin_of(self.base)
        self._plain_http = plain_http
        self._keeper = ThreadDeadlines()
        self._pools = ConnectionPools(self.origin, self._keeper, self.limits, network or Network())
        self._authorizer = Authorizer(self.origin, find_credential, self._fetch_token, self.timing)
        self._lock = threading.Lock()
        self.streams = threading.BoundedSemaphore(self.limits.streams)
        self._busy, self._retired = 0, False

    def request(
        self,
        method: str,
        path: str,
        *,
        scope: str = "",
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        limit: int,
        is_json: bool = False,
    ) -> RegistryResponse:
        """Send a small request, again where that may help, and read the answer; every status but 401, 403, 429, 5xx.

        `is_json` says that a good answer is JSON, so that one that broke off is told also where nobody says its length.
        Raises RegistryUnavailable, and TooLarge when a good answer is longer than `limit` bytes.
        """
        what = f"{method} {self.origin}{path[:300]}"
        deadline = self.timing.monotonic() + self.limits.request_seconds
        retry = RegistryRetryPolicy(self.limits, self.timing, deadline=deadline)
        while True:
            watch = TransferDeadline(self.timing, deadline)
            try:
                with self.open(method, self.url(path), watch=watch, scope=scope, headers=headers, body=body) as opened:
                    return read_answer(opened, limit, is_json=is_json)
            except RetryableFailure as failure:
                retry.wait(failure, what=what)

    def url(self, path: str) -> httpx.URL:
        """Return the URL of a path of the registry, its query included."""
        return self.base.join(path)

    @contextmanager
    def open(
        self,
        method: str,
        url: httpx.URL,
        *,
        watch: TransferDeadline,
        scope: str = "",
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
    ) -> Iterator[httpx.Response]:
        """Send one request and give its response, the body still to be read under the same watch.

        Raises Transient for what another try may mend, also while the body is read; RegistryUnavailable for access
        that is denied and for redirects that we do not follow.
        """
        response: httpx.Response | None = None
        with self._in_use(), self._keeper.using(watch):
            try:
                response = self._send(method, url, scope, dict(headers or {}), body)
                try:
                    raise_if_retryable(response, self.timing)
                    yield response
                finally:
                    response.close()
            except httpx.TransportError as error:
                is_answer = _is_answered(response, error)
                raise RetryableFailure(
                    f"the connection failed: {error}", is_outage=True, is_answer=is_answer
                ) from error

    def location(self, current: httpx.URL, location: str | None) -> httpx.URL:
        """Return where a Location header leads; RegistryUnavailable where we do not follow."""
        return follow_location(current, location, plain_http=self._plain_http)

    def close_when_idle(self) -> None:
        """Close the connections as soon as nobody uses them; whoever comes back opens new ones for a moment."""
        with self._lock:
            self._retired = True
            idle = self._busy == 0
        if idle:
            self._pools.close()

    def _send(
        self, method: str, url: httpx.URL, scope: str, headers: dict[str, str], body: Body | None
    ) -> httpx.Response:
        """Follow redirects and answer one 401; the caller closes the response."""
        at_home, refreshed, hops = origin_of(url) == self.origin, False, 0
        authorization = self._authorizer.header(scope)
        while True:
            sent = authorization if at_home else None
            response = self._exchange(method, url, headers, body, sent)
            with _closed_on_error(response):
                status = response.status_code
                if status == HTTPStatus.UNAUTHORIZED and at_home and not refreshed:
                    challenges = response.headers.get_list("www-authenticate")
                    response.close()
                    refreshed = True
                    authorization = self._authorizer.answer(challenges, scope, sent=sent)
                elif status in REDIRECTS and method in {"GET", "HEAD"}:
                    response.close()
                    hops += 1
                    if hops > self.limits.redirects:
                        raise RegistryUnavailable(f"{self.origin} redirects more than {self.limits.redirects} times")
                    url = self.location(url, response.headers.get("location"))
                    at_home = at_home and origin_of(url) == self.origin  # once left, no credential comes back
                elif status in {401, 403}:
                    raise self._denied(method, response)
                else:
                    return response

    def _denied(self, method: str, response: httpx.Response) -> RegistryDenied:
        origin = origin_of(response.request.url)
        where = self.origin if origin == self.origin else f"{origin}, where {self.origin} sends us,"
        path = response.request.url.path[:300]
        return RegistryDenied(f"{where} refuses {method} {path} with {response.status_code}", hint=HINT)

    def _exchange(
        self, method: str, url: httpx.URL, headers: dict[str, str], body: Body | None, authorization: str | None
    ) -> httpx.Response:
        fields = {
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": "bootpress",
            **headers,
            **({"authorization": authorization} if authorization else {}),
        }
        content = body() if body else (b"" if method in {"POST", "PUT", "PATCH"} else None)
        request = httpx.Request(method, url, headers=fields, content=content)
        response = self._pools.handle_request(request)
        response.request = request
        return response

    def _fetch_token(self, url: httpx.URL, headers: dict[str, str]) -> RegistryResponse:
        response = self._exchange("GET", url, headers, None, None)
        try:
            raise_if_retryable(response, self.timing)
            return read_answer(response, MAX_TOKEN_ANSWER)
        except TooLarge as error:
            raise RegistryUnavailable(f"the token service of {self.origin} answers at length") from error
        finally:
            response.close()

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1
                last = self._retired and self._busy == 0
            if last:
                self._pools.close()


def _is_answered(response: httpx.Response | None, error: httpx.TransportError) -> bool:
    return response is not None and not isinstance(error, httpx.TimeoutException)


@contextmanager
def _closed_on_error(response: httpx.Response) -> Iterator[None]:
    try:
        yield
    except BaseException:
        response.close()
        raise
