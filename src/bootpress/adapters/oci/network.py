"""Bytes on sockets: deadlines that hold against a server that drips, and addresses that are not for strangers.

httpx has a timeout for each read, so a server that sends one byte before each of them ends holds a thread for hours.
Here every read and write also keeps a `Watch`: a deadline, and a rate. And a name is resolved once, judged, and
connected to by address, so that it cannot mean something else a moment later.

`httpx.Client` is not used: it would follow the environment's netrc, keep cookies, turn a user name in a URL into a
credential and log whole URLs, signatures in their queries included. Its requests, responses and URLs are.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

from bootpress.adapters.oci.origins import Origin
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.references import is_loopback
from bootpress.http_client.clock import Clock

Resolve = Callable[[str], list[str]]
"""Return the addresses of a host, or raise OSError."""
READ = 1024 * 1024  # httpcore asks for 64 KiB; fewer turns through Python make a blob take half the time
RECORD = 16 * 1024  # of TLS one read brings one record, which has no more than this (RFC 8446, 5.1)
MAX_RECORDS = 256
PUBLIC, PRIVATE, LOOPBACK = range(3)


class TransferDeadline:
    """How long, and how slowly at the least, the calling thread may wait for the other side."""

    def __init__(self, timing: Clock, deadline: float, *, rate: int = 0, rate_seconds: float = 0) -> None:
        self._monotonic = timing.monotonic
        self.deadline = deadline
        self._rate, self._rate_seconds = rate, rate_seconds
        self._since, self._count = timing.monotonic(), 0

    def remaining(self, timeout: float | None) -> float:
        """Return how long one read or write may take."""
        left = self.deadline - self._monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("it took too long as a whole")
        return left if timeout is None else min(left, timeout)

    def count_bytes(self, count: int) -> None:
        """Count bytes; raise httpcore.ReadTimeout when too few came in the last `rate_seconds`."""
        self._count += count
        passed = self._monotonic() - self._since
        if self._rate and passed >= self._rate_seconds:
            if self._count < self._rate * passed:
                raise httpcore.ReadTimeout(f"it sends less than {self._rate} bytes a second")
            self._since, self._count = self._monotonic(), 0


class ThreadDeadlines:
    """Keeps the watch of each thread."""

    def __init__(self) -> None:
        self._local = threading.local()

    @property
    def watch(self) -> TransferDeadline | None:
        """Return the watch that the calling thread keeps."""
        watch: TransferDeadline | None = getattr(self._local, "watch", None)
        return watch

    @contextmanager
    def using(self, watch: TransferDeadline) -> Iterator[None]:
        """Keep a watch on everything the calling thread connects to, reads and writes."""
        before, self._local.watch = self.watch, watch
        try:
            yield
        finally:
            self._local.watch = before

    def allow(self, timeout: float | None) -> float | None:
        """Return how long one read or write of the calling thread may take."""
        return self.watch.remaining(timeout) if self.watch else timeout


class Stream(httpcore.NetworkStream):
    """A connection, each read and write of which keeps the watch of the calling thread."""

    def __init__(
        self, inner: httpcore.NetworkStream, keeper: ThreadDeadlines, tls: ssl.SSLSocket | None = None
    ) -> None:
        self._inner, self._keeper, self._tls = inner, keeper, tls

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read for httpcore: more than it asks for."""
        return self.read_available(max(max_bytes, READ), timeout)

    def read_available(self, max_bytes: int, timeout: float | None) -> bytes:
        """Read what is there, or wait for it; nothing means that no more comes."""
        watch = self._keeper.watch
        try:
            data = self._read(max_bytes, self._keeper.allow(timeout))
        except httpcore.ReadTimeout as error:
            self._keeper.allow(timeout)
            raise httpcore.ReadTimeout(f"nothing came for {timeout} s") from error
        if watch:
            watch.count_bytes(len(data))
        return data

    def _read(self, max_bytes: int, timeout: float | None) -> bytes:
        return _read_records(self._tls, max_bytes, timeout) if self._tls else self._inner.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        self._inner.write(buffer, self._keeper.allow(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Speak TLS from here on; the same watch is kept."""
        secured = self._inner.start_tls(ssl_context, server_hostname, self._keeper.allow(timeout))
        own = secured.get_extra_info("socket")
        # Within TLS to a proxy, the socket speaks that one and httpcore the other.
        is_within = self._inner.get_extra_info("ssl_object") is not None
        return Stream(secured, self._keeper, own if isinstance(own, ssl.SSLSocket) and not is_within else None)

    def get_extra_info(self, info: str) -> Any:
        """Ask what is below."""
        return self._inner.get_extra_info(info)


def _read_records(own: ssl.SSLSocket, max_bytes: int, timeout: float | None) -> bytes:
    """Wait for a record and take the others that are there already.

    Reading them one by one through httpcore, each with a buffer of the size that is asked for, and hashing each by
    itself made a blob take four times as long.
    """
    records: list[bytes] = []
    try:
        own.settimeout(timeout)
        records.append(own.recv(min(max_bytes, RECORD)))
        own.settimeout(0)
        left = max_bytes - len(records[0])
        while left and records[-1] and len(records) < MAX_RECORDS:
            records.append(own.recv(min(left, RECORD)))
            left -= len(records[-1])
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        pass
    except TimeoutError as error:
        raise httpcore.ReadTimeout(str(error)) from error
    except OSError as error:
        raise httpcore.ReadError(str(error)) from error
    return b"".join(records)


class GuardedBackend(httpcore.NetworkBackend):
    """Connects for one registry: to itself, and to others only at addresses at least as public as its own.

    A registry out in the world has no business at this machine or in its network (server-side request forgery):
    neither by a redirect nor by a token service. Link-local addresses, where clouds keep their metadata, are for
    nobody. What counts is the most public address that it was ever connected at: its names are its own to change.
    """

    def __init__(
        self, home: Origin, resolve: Resolve, keeper: ThreadDeadlines, inner: httpcore.NetworkBackend | None = None
    ) -> None:
        self._home, self._resolve, self._keeper = home, resolve, keeper
        self._home_reach: int | None = None
        self._inner = inner or httpcore.SyncBackend()

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
        at_home = (host, port) == (self._home.host, self._home.port)
        for address, known in self._allowed_addresses(host, at_home=at_home):
            try:
                stream = self._inner.connect_tcp(
                    address, port, self._keeper.allow(timeout), local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
                continue
            if at_home:
                self._home_reach = known if self._home_reach is None else min(self._home_reach, known)
            return Stream(stream, self._keeper)
        raise failure

    def _allowed_addresses(self, host: str, *, at_home: bool) -> list[tuple[str, int]]:
        try:
            addresses = self._resolve(host)
        except (OSError, UnicodeError) as error:  # a label that is too long is a UnicodeError
            why = error.strerror if isinstance(error, OSError) else "it is no host name"
            raise httpcore.ConnectError(f"{host[:100]} cannot be resolved: {why}") from error
        known = [(address, address_scope(address)) for address in addresses]
        if is_loopback(host):  # it is spoken to in the clear, which is for this machine alone
            known = [(address, close) for address, close in known if close == LOOPBACK]
            if addresses and not known:
                raise RegistryUnavailable(
                    f"{host} is a name of this machine, and its address is not",
                    hint="have the name lead to loopback, or use another name for that registry",
                )
        limit = LOOPBACK if at_home else (self._home_reach or PUBLIC)
        allowed = [(address, close) for address, close in known if close is not None and close <= limit]
        if addresses and not allowed:
            raise self._refusal(host, at_home=at_home)
        return allowed

    def _refusal(self, host: str, *, at_home: bool) -> RegistryUnavailable:
        if at_home:
            return RegistryUnavailable(f"{host} has a link-local address, where no registry is")
        return RegistryUnavailable(
            f"{self._home} sends us to {host}, which has an address inside our own network",
            hint="the registry, its token service and its storage must be equally public",
        )


def address_scope(address: str) -> int | None:
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
