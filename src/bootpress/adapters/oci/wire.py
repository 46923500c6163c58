"""Bytes on sockets: deadlines that hold against a server that drips, and addresses that are not for strangers.

httpx has a timeout for each read, so a server that sends one byte before each of them ends holds a thread for hours.
Here every read and write also keeps a `Watch`: a deadline, and a rate. And a name is resolved once, judged, and
connected to by address, so that it cannot mean something else a moment later.

`httpx.Client` is not used: it would follow the environment's netrc, keep cookies, turn a user name in a URL into a
credential and log whole URLs, signatures in their queries included. Its requests, responses and URLs are.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from bootpress.adapters.oci.limits import Limits, Timing
from bootpress.core.errors import RegistryUnavailable

Resolve = Callable[[str], list[str]]
"""Return the addresses of a host, or raise OSError."""
READ = 1024 * 1024  # httpcore asks for 64 KiB; fewer turns through Python make a blob take half the time
PUBLIC, PRIVATE, LOOPBACK = range(3)


class Watch:
    """How long, and how slowly at the least, the calling thread may wait for the other side."""

    def __init__(self, timing: Timing, deadline: float, *, rate: int = 0, rate_seconds: float = 0) -> None:
        self._monotonic = timing.monotonic
        self.deadline = deadline
        self._rate, self._rate_seconds = rate, rate_seconds
        self._since, self._count = timing.monotonic(), 0

    def allow(self, timeout: float | None) -> float:
        """Return how long one read or write may take."""
        left = self.deadline - self._monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("it took too long as a whole")
        return left if timeout is None else min(left, timeout)

    def saw(self, count: int) -> None:
        """Count bytes; raise httpcore.ReadTimeout when too few came in the last `rate_seconds`."""
        self._count += count
        passed = self._monotonic() - self._since
        if self._rate and passed >= self._rate_seconds:
            if self._count < self._rate * passed:
                raise httpcore.ReadTimeout(f"it sends less than {self._rate} bytes a second")
            self._since, self._count = self._monotonic(), 0


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, backend: Backend) -> None:
        self._inner, self._backend = inner, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        watch = self._backend.watch
        if watch is None:
            return self._inner.read(max_bytes, timeout)
        try:
            data = self._inner.read(max(max_bytes, READ), watch.allow(timeout))
        except httpcore.ReadTimeout as error:
            watch.allow(timeout)
            raise httpcore.ReadTimeout(f"nothing came for {timeout} s") from error
        watch.saw(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        watch = self._backend.watch
        self._inner.write(buffer, watch.allow(timeout) if watch else timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        watch = self._backend.watch
        timeout = watch.allow(timeout) if watch else timeout
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Backend(httpcore.NetworkBackend):
    """Connects for one registry: to itself, and to others only at addresses at least as public as its own.

    A registry out in the world has no business at this machine or in its network (server-side request forgery):
    neither by a redirect nor by a token service. Link-local addresses, where clouds keep their metadata, are for
    nobody.
    """

    def __init__(self, home: tuple[str, int], resolve: Resolve) -> None:
        self._home, self._home_reach = home, PUBLIC
        self._resolve = resolve
        self._inner = httpcore.SyncBackend()
        self._local = threading.local()

    @property
    def watch(self) -> Watch | None:
        """Return the watch that the calling thread keeps."""
        watch: Watch | None = getattr(self._local, "watch", None)
        return watch

    @contextmanager
    def keeping(self, watch: Watch) -> Iterator[None]:
        """Keep a watch on everything the calling thread reads and writes."""
        before, self._local.watch = self.watch, watch
        try:
            yield
        finally:
            self._local.watch = before

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers and that is allowed."""
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        options = [*(socket_options or ()), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        for address in self._allowed_addresses(host, port):
            allowed = self.watch.allow(timeout) if self.watch else timeout
            try:
                stream = self._inner.connect_tcp(address, port, allowed, local_address, options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Stream(stream, self)
        raise failure

    def _allowed_addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = self._resolve(host)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error.strerror}") from error
        reaches = {address: reach(address) for address in addresses}
        if (host, port) == self._home:
            self._home_reach = max((known for known in reaches.values() if known is not None), default=PUBLIC)
        limit = self._home_reach
        allowed = [address for address, known in reaches.items() if known is not None and known <= limit]
        if addresses and not allowed:
            raise RegistryUnavailable(
                f"{self._home[0]} sends us to {host}, which has an address inside our own network"
                if (host, port) != self._home
                else f"{host} has a link-local address, where no registry is",
                hint="the registry, its token service and its storage must be equally public",
            )
        return allowed


def reach(address: str) -> int | None:
    """Say how close to us an address is: PUBLIC, PRIVATE or LOOPBACK; None for one that nobody may send us to."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return None
    if ip.is_loopback:
        return LOOPBACK
    return PUBLIC if ip.is_global else PRIVATE


def resolve_host(host: str) -> list[str]:
    """Ask the system for the addresses of a host, in its order."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """Trust what httpx trusts (SSL_CERT_FILE, else Mozilla's list) and what this system trusts besides."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


@dataclass(frozen=True, slots=True)
class Network:
    """Whom to trust, and what names mean; tests bring their own."""

    certificates: Callable[[], ssl.SSLContext] = trusted_certificates
    resolve: Resolve = resolve_host


class PoolTransport(httpx.BaseTransport):
    """An httpcore connection pool on our own backend, for httpx's requests and responses."""

    def __init__(self, backend: Backend, limits: Limits, certificates: ssl.SSLContext) -> None:
        self._timeouts = {
            "connect": limits.connect_seconds,
            "read": limits.silence_seconds,
            "write": limits.silence_seconds,
            "pool": limits.request_seconds,
        }
        self._pool = httpcore.ConnectionPool(
            ssl_context=certificates,
            max_connections=limits.connections,
            max_keepalive_connections=limits.connections,
            keepalive_expiry=30,
            network_backend=backend,
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
                    extensions={"timeout": self._timeouts},
                )
            )
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response.stream), extensions=response.extensions
        )

    def close(self) -> None:
        """Close every connection; the next request opens a new one."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        with _translated():
            yield from self._stream

    def close(self) -> None:
        self._stream.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
        raise httpx.TransportError(str(error) or type(error).__name__) from error
