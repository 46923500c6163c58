"""What came from our own pages, and where a browser may be sent: pure checks of what it says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from bootpress.entrypoints.api.problems import Problem

HOME = "/app/publications"
LOGIN = "/app/login"
LOGOUT = "/app/logout"
SIGN_IN = "/app/sign-in"
MAX_PATH = 300
_PAGE = re.compile(r"/app(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*(?:\?platform=[A-Za-z0-9._-]+)?")
_PORTS = {"http": 80, "https": 443}


def require_same_origin(headers: Mapping[str, str], *, public_url: str) -> None:
    """Raise a Problem 403 unless a browser says that one of our own pages sent the form.

    `headers` have lower-case names. Browsers send Sec-Fetch-Site to HTTPS and to this machine only, Origin with every
    form (Fetch, 3.2); a page of another site can forge neither.
    """
    fetched = headers.get("sec-fetch-site")
    if fetched is not None:
        if fetched in {"same-origin", "none"}:
            return
    elif _is_ours(headers.get("origin", ""), headers.get("host", ""), public_url):
        return
    raise Problem(
        403,
        "cross-site-form",
        "Forbidden",
        "the form was not sent by a page of this console",
        f"open {LOGIN} here and send it from there",
    )


def safe_return_path(asked: str) -> str:
    """Return the page of the console that was asked for, or the first page for anything else."""
    if len(asked) > MAX_PATH or not _PAGE.fullmatch(asked) or asked.partition("?")[0] in {LOGIN, LOGOUT, SIGN_IN}:
        return HOME
    return asked


def _is_ours(origin: str, host: str, public_url: str) -> bool:
    # Behind a proxy the Host may be an inner one: then the origin is the one of the public URL.
    said = _origin(origin)
    if said is None:
        return False
    scheme, _, _ = said
    return said in (_origin(f"{scheme}://{host}"), _origin(public_url))


def _origin(url: str) -> tuple[str, str, int | None] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not parts.hostname:
        return None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme]
