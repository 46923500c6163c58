"""Connections that are kept: straight to a server, or through the proxy that the environment names for it."""

from __future__ import annotations

import functools
import ssl
import threading
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass

import httpcore
import httpx

from bootpress.adapters.oci.limits import Limits
from bootpress.adapters.oci.network import GuardedBackend, Resolve, ThreadDeadlines, resolve_host
from bootpress.adapters.oci.origins import PORTS, Origin, origin_of
from bootpress.adapters.oci.response_body import ResponseBody, translated
from bootpress.core.errors import RegistryUnavailable


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """Trust what httpx trusts (SSL_CERT_FILE, else Mozilla's list) and what this system trusts besides."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


def environment_proxy(origin: Origin) -> str | None:
    """Return the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, as every tool reads them; none for loopback."""
    if origin.is_loopback or urllib.request.proxy_bypass(origin.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(origin.scheme) or proxies.get("all")


@dataclass(frozen=True, slots=True)
class Network:
    """Whom to trust, what names mean, and which way leads there; tests bring their own."""

    certificates: Callable[[], ssl.SSLContext] = trusted_certificates
    resolve: Resolve = resolve_host
    find_proxy: Callable[[Origin], str | None] = environment_proxy


class ConnectionPools:
    """httpcore connection pools on our own backend, for httpx's requests and responses.

    One pool leads straight to servers, and one through each proxy, which then resolves names and judges addresses.
    """

    def __init__(self, home: Origin, keeper: ThreadDeadlines, limits: Limits, network: Network) -> None:
        self._keeper, self._limits, self._network = keeper, limits, network
        self._timeouts = {
            "connect": limits.connect_seconds,
            "read": limits.silence_seconds,
            "write": limits.silence_seconds,
            "pool": limits.request_seconds,
        }
        self._lock = threading.Lock()
        self._straight = self._pool(home, None)
        self._through: dict[str, httpcore.ConnectionPool] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return its response, the body still to be read; httpx.TransportError otherwise."""
        url = request.url
        pool = self._choose(origin_of(url))
        with translated():
            response = pool.handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions={"timeout": self._timeouts},
                )
            )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=ResponseBody(response, self._limits),
            extensions=response.extensions,
        )

    def close(self) -> None:
        """Close every connection; the next request opens a new one."""
        with self._lock:
            pools = [self._straight, *self._through.values()]
        for pool in pools:
            pool.close()

    def _choose(self, origin: Origin) -> httpcore.ConnectionPool:
        proxy = self._network.find_proxy(origin)
        if proxy is None:
            return self._straight
        with self._lock:
            if proxy not in self._through:
                url = _proxy_url(proxy)
                self._through[proxy] = self._pool(origin_of(url), url)
            return self._through[proxy]

    def _pool(self, home: Origin, proxy: httpx.URL | None) -> httpcore.ConnectionPool:
        certificates = self._network.certificates()
        return httpcore.ConnectionPool(
            ssl_context=certificates,
            max_connections=self._limits.connections,
            max_keepalive_connections=self._limits.connections,
            keepalive_expiry=30,
            network_backend=GuardedBackend(home, self._network.resolve, self._keeper),
            proxy=_httpcore_proxy(proxy, certificates) if proxy else None,
        )


def _proxy_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
    except (httpx.InvalidURL, ValueError) as error:
        raise RegistryUnavailable("the proxy of this environment is no URL", hint="see HTTPS_PROXY") from error
    if url.scheme not in PORTS or not url.host:
        raise RegistryUnavailable(f"the proxy at {url.host} does not speak HTTP", hint="see HTTPS_PROXY")
    return url


def _httpcore_proxy(url: httpx.URL, certificates: ssl.SSLContext) -> httpcore.Proxy:
    return httpcore.Proxy(
        url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"/"),
        auth=(url.username, url.password) if url.userinfo else None,
        ssl_context=certificates if url.scheme == "https" else None,
    )
