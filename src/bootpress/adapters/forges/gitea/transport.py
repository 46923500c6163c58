"""Connections to one Gitea, on which no call takes longer than it may as a whole.

httpx has a timeout for each read, so a server that sends one byte before each of them ends, of a header too, holds a
thread for hours. Here every read and write also ends with the deadline of the calling thread.
"""

from __future__ import annotations

import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from bootpress.core.errors import ForgeUnavailable

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Deadline:
    """Until when each thread may wait."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._local = threading.local()

    @contextmanager
    def until(self, moment: float) -> Iterator[None]:
        """Let what the calling thread waits for end at a moment."""
        before, self._local.moment = getattr(self._local, "moment", None), moment
        try:
            yield
        finally:
            self._local.moment = before

    def allow(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
        """Return how long one act of the calling thread may take; raise `late` when its time is over."""
        moment = getattr(self._local, "moment", None)
        if moment is None:
            return timeout
        left: float = moment - self._monotonic()
        if left <= 0:
            raise late("it took too long as a whole")
        return left if timeout is None else min(timeout, left)


class Stream(httpcore.NetworkStream):
    """A connection that keeps to the deadline."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, or wait for it."""
        return self._inner.read(max_bytes, self._deadline.allow(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        self._inner.write(buffer, self._deadline.allow(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Speak TLS from here on."""
        allowed = self._deadline.allow(timeout, httpcore.ConnectTimeout)
        return Stream(self._inner.start_tls(ssl_context, server_hostname, allowed), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """Ask what is below."""
        return self._inner.get_extra_info(info)


class Backend(httpcore.NetworkBackend):
    """Connects with the deadline kept."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline, self._inner = deadline, httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host."""
        allowed = self._deadline.allow(timeout, httpcore.ConnectTimeout)
        return Stream(self._inner.connect_tcp(host, port, allowed, local_address, socket_options), self._deadline)


class Transport(httpx.BaseTransport):
    """What an httpx.Client sends through, to the host of one URL: straight, or by the environment's proxy for it."""

    def __init__(self, url: httpx.URL, deadline: Deadline, *, connections: int) -> None:
        certificates = _trusted_certificates()
        proxy = _find_proxy(url)
        self._pool = httpcore.ConnectionPool(
            ssl_context=certificates,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=30,
            network_backend=Backend(deadline),
            proxy=_httpcore_proxy(proxy, certificates) if proxy else None,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its response, the body still to be read; httpx.TransportError otherwise."""
        url = request.url
        with _translated():
            response = self._pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


@contextmanager
def _translated() -> Iterator[None]:
    """Raise httpcore's errors as those that httpx has under the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from error


def _trusted_certificates() -> ssl.SSLContext:
    """Trust what httpx trusts (SSL_CERT_FILE, else Mozilla's list) and what this system trusts besides."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


def _find_proxy(url: httpx.URL) -> httpx.URL | None:
    """Return the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, as every tool reads them; none for loopback."""
    if url.host in LOOPBACK or urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    named = proxies.get(url.scheme) or proxies.get("all")
    if not named:
        return None
    try:
        proxy = httpx.URL(named if "://" in named else f"http://{named}")
    except httpx.InvalidURL as error:
        raise ForgeUnavailable("the proxy of this environment is no URL", hint="see HTTPS_PROXY") from error
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        raise ForgeUnavailable(f"the proxy at {proxy.host} does not speak HTTP", hint="see HTTPS_PROXY")
    return proxy


def _httpcore_proxy(url: httpx.URL, certificates: ssl.SSLContext) -> httpcore.Proxy:
    return httpcore.Proxy(
        url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"/"),
        auth=(url.username, url.password) if url.userinfo else None,
        ssl_context=certificates if url.scheme == "https" else None,
    )
