"""Request targets other than a path: a whole URL is answered like its path, and what is no resource is refused.

RFC 9112, 3.2: absolute-form is what a client sends that takes us for a proxy, and every server has to understand it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from bootpress.entrypoints.api.problems import Problem

_URL: Final = re.compile(rb"(?P<scheme>https?)://(?P<authority>[^/]*)(?P<path>/.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY: Final = re.compile(rb"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(:(?P<port>[0-9]{0,5}))?")
_PORTS: Final = {b"http": b"80", b"https": b"443"}


class TargetForms:
    """Gives whoever comes behind it targets in origin-form; the host of an absolute one takes the place of `Host`.

    `names` are what this server is called, beside its own address and this machine's loopback. A URL on another host
    is none of ours (404), unless the request's `Host` says the same: then it is for those who judge that header.
    """

    def __init__(self, app: ASGIApp, *, names: Iterable[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] == "http" and not scope["raw_path"].startswith(b"/"):
            try:
                scope = self._in_origin_form(scope)
            except Problem as problem:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _in_origin_form(self, scope: Scope) -> Scope:
        target: bytes = scope["raw_path"]
        if scope["method"] == "CONNECT" or (scope["method"], target) == ("OPTIONS", b"*"):
            raise _not_allowed(scope["method"])
        url = _URL.fullmatch(target)
        if url is None:
            return scope  # no route has such a path
        authority = _AUTHORITY.fullmatch(url["authority"])
        if authority is None or b"#" in target:
            raise Problem(400, "bad-request", "Bad Request", "the request target is no URL of HTTP")
        said = next((value for name, value in scope["headers"] if name == b"host"), url["authority"])
        if not self._is_ours(authority["host"], scope) and not _same(url["scheme"], authority, said):
            shown = url["authority"].decode("ascii")
            raise Problem(404, "not-found", "Not Found", f"there is nothing of {shown} here", "this is no proxy")
        path = url["path"] or b"/"
        headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
        headers.insert(0, (b"host", url["authority"]))
        return {**scope, "raw_path": path, "path": unquote(path.decode("ascii")), "headers": headers}

    def _is_ours(self, host: bytes, scope: Scope) -> bool:
        name = host.decode("ascii").strip("[]").lower()
        server = scope.get("server")
        if name in self._names or name == "localhost" or (server is not None and name == server[0]):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def hosts_of(*urls: str) -> list[str]:
    """Return the hosts of base URLs."""
    return [host for url in urls if (host := urlsplit(url).hostname)]


def _same(scheme: bytes, authority: re.Match[bytes], said: bytes) -> bool:
    other = _AUTHORITY.fullmatch(said)
    if other is None or other["host"].lower() != authority["host"].lower():
        return False
    default = _PORTS[scheme.lower()]
    return (other["port"] or default) == (authority["port"] or default)


def _not_allowed(method: str) -> Problem:
    said = "this is no proxy" if method == "CONNECT" else "the server as a whole has no options"
    headers = {"Allow": "GET, HEAD, POST", "Connection": "close"}
    return Problem(
        405, "method-not-allowed", "Method Not Allowed", f"{method} is not answered: {said}", headers=headers
    )
