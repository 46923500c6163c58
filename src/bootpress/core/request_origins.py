"""Which requests a server on loopback answers: its own Hosts, its own origin, and clients that are no browsers.

A web page can have a browser send requests to any server of this machine. Three things tell such a request: a foreign
Host (DNS rebinding), a foreign Origin (RFC 6454), and Fetch metadata (W3C, Fetch Metadata Request Headers). No page can
change any of them. Pure rules: headers are pairs of lower-case name and value.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

Headers = Sequence[tuple[bytes, bytes]]
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})
_PORTS: Final = {"http": 80, "https": 443}
_SHOWN: Final = 100
"""Characters of a foreign header that an answer repeats."""


@dataclass(frozen=True, slots=True)
class OwnHosts:
    """The Hosts of one server: this machine's loopback names at any port, and what the operator added.

    `added` holds `host` (any port) or `host:port`, in lower case, as a reverse proxy or a container calls the server.
    Any port of loopback will do, since a tunnel has another one than the server: no page can choose it for a browser.
    """

    added: Collection[str] = field(default=())

    def has(self, authority: str) -> bool:
        """Tell whether `host[:port]` names this server."""
        split = _split(authority)
        return split is not None and (_is_loopback(split[0]) or self._is_added(*split))

    def has_added(self, origin: str) -> bool:
        """Tell whether an origin is at a Host that the operator added: a proxy in front may tell us another one."""
        scheme, _, authority = origin.partition("://")
        split = _split(authority, default_port=_PORTS.get(scheme))
        return scheme in _PORTS and split is not None and self._is_added(*split)

    def _is_added(self, host: str, port: int | None) -> bool:
        return host in self.added or (port is not None and f"{host}:{port}" in self.added)


def refusal(method: str, headers: Headers, own: OwnHosts, *, target: str = "/", is_websocket: bool = False) -> str:
    """Return why a request is not answered, or nothing for one that is.

    `target` is the request target as it came: one in absolute form names the Host (RFC 9112, 3.2.2).
    """
    hosts = _values(headers, b"host")
    if len(hosts) != 1:
        return "the request names no Host, or more than one"
    authority = hosts[0] if target.startswith("/") or target == "*" else _authority(target)
    if not own.has(authority):
        return f"the Host {_shown(authority)} is none of this server's"
    origins = _values(headers, b"origin")
    if origins:
        ours = len(origins) == 1 and _is_own_origin(origins[0], authority, own)
        return "" if ours else f"a page of the origin {_shown(origins[0])} may not ask this server"
    return _refusal_by_metadata(method, headers, is_websocket=is_websocket)


def is_browser(headers: Headers) -> bool:
    """Tell whether a browser sent a request; every browser says at least one of these of itself."""
    names = {name for name, _ in headers}
    return (
        b"origin" in names
        or any(name.startswith((b"sec-fetch-", b"sec-ch-")) for name in names)
        or any("mozilla/" in value.lower() for value in _values(headers, b"user-agent"))
    )


def _refusal_by_metadata(method: str, headers: Headers, *, is_websocket: bool) -> str:
    """Judge a request without an Origin: browsers leave it out of what only reads, and of links."""
    sites = _values(headers, b"sec-fetch-site")
    if not sites:
        if is_browser(headers) and (is_websocket or method not in SAFE_METHODS):
            return "a browser sent this without saying for which page"
        return ""
    if set(sites) <= {"same-origin", "none"}:
        return ""
    if method in SAFE_METHODS and not is_websocket and _is_navigation(headers):
        return ""
    return "a page of another site may only link here"


def _is_navigation(headers: Headers) -> bool:
    """Tell whether a browser opens the page in a tab of its own, where no other page can read it."""
    return _values(headers, b"sec-fetch-mode") == ["navigate"] and _values(headers, b"sec-fetch-dest") == ["document"]


def _is_own_origin(origin: str, authority: str, own: OwnHosts) -> bool:
    scheme, _, said = origin.partition("://")
    port = _PORTS.get(scheme)
    theirs = _split(said, default_port=port)
    return (
        port is not None
        and theirs is not None
        and (theirs == _split(authority, default_port=port) or own.has_added(origin))
    )


def _authority(target: str) -> str:
    """Return the authority of a target in absolute form (`http://host/path`) or authority form (`host:port`)."""
    return target.partition("://")[2].partition("/")[0] if "://" in target else target


def _split(authority: str, *, default_port: int | None = None) -> tuple[str, int | None] | None:
    """Return host and port, None for what is no authority or has user information."""
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.netloc != authority or "@" in authority:
        return None
    return host.removesuffix("."), port if port is not None else default_port


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _values(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for key, value in headers if key == name]


def _shown(text: str) -> str:
    return ascii(text[:_SHOWN])
