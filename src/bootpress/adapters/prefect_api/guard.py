"""What stands in front of Prefect's application: a check of Host and origin, and the sign-in of its UI.

Prefect answers every Host, permits every origin (CORS) and reads JSON from a `text/plain` body, which a page sends
without asking. Its UI keeps the authentication string in the browser, under the key `prefect-password`.
"""

from __future__ import annotations

import base64
import secrets
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bootpress.core.request_origins import OwnHosts, refusal
from bootpress.sign_in import SignInCodes

SIGN_IN: Final = "/bootpress/sign-in"
KEY: Final = "prefect-password"
"""Where the UI looks for the base64 of the authentication string (Prefect 3.8.8, both of its UIs)."""
SIMPLE_BODIES: Final = frozenset({"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"})
"""What a page may send anywhere without asking (Fetch, CORS-safelisted request-header), beside a body of no type.

Prefect's clients send JSON, and say so."""
UI_POLICY: Final = b"connect-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:"
"""For Prefect's pages, which have the string at hand. Their script asks a server of Amplitude's, whatever is said of
analytics, and `/docs` runs one of a public network's (Prefect 3.8.8)."""
_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>Prefect: sign in</title>
<p>Signing in…</p>
<script nonce="{nonce}">
localStorage.setItem("{key}", "{value}");
location.replace("/");
</script>
"""


class GuardedPrefect:
    """ASGI middleware: answers what is not Prefect's to answer, and passes on the rest."""

    def __init__(self, app: ASGIApp, own: OwnHosts, *, auth_string: str | None, codes: SignInCodes | None) -> None:
        self._app = app
        self._own = own
        self._auth_string = auth_string
        self._codes = codes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse a request, or pass it on."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        is_websocket = scope["type"] == "websocket"
        # No target: uvicorn hands on its path alone, and answers one in absolute form with 404.
        reason = refusal(scope.get("method", "GET"), scope["headers"], self._own, is_websocket=is_websocket)
        if reason and is_websocket:
            return await send({"type": "websocket.close", "code": 1008, "reason": reason})
        if is_websocket:
            return await self._app(scope, receive, send)
        answer = _refuse(reason) if reason else _refuse_simple_body(scope) or self._sign_in(scope)
        if answer is not None:
            return await answer(scope, receive, send)
        return await self._app(scope, receive, _without_others(send))

    def _sign_in(self, scope: Scope) -> Response | None:
        """Answer a request for the sign-in page; None for any other path."""
        if scope["path"] != SIGN_IN or self._codes is None:
            return None
        [code] = parse_qs(scope["query_string"].decode("latin-1")).get("code", [""])[:1]
        if scope["method"] != "GET" or not self._auth_string or not self._codes.take(code):
            said = "This address was good once, for two minutes. `bootpress ui` makes a new one.\n"
            return PlainTextResponse(said, HTTPStatus.FORBIDDEN)
        return _sign_in_page(self._auth_string)


def _sign_in_page(auth_string: str) -> Response:
    value = base64.b64encode(auth_string.encode()).decode()
    nonce = secrets.token_urlsafe(16)
    policy = f"default-src 'none'; script-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    return HTMLResponse(_PAGE.format(nonce=nonce, key=KEY, value=value), headers=headers)


def _refuse(reason: str) -> Response:
    hint = "BOOTPRESS_ALLOWED_HOSTS names further Hosts, those of a reverse proxy for example"
    return PlainTextResponse(f"Refused: {reason}. {hint}.\n", HTTPStatus.FORBIDDEN)


def _refuse_simple_body(scope: Scope) -> Response | None:
    stated = [value for name, value in scope["headers"] if name == b"content-type"]
    kinds = {value.partition(b";")[0].strip().lower().decode("latin-1") for value in stated}
    if kinds & SIMPLE_BODIES or (not any(kinds) and _has_body(scope)):
        said = "Refused: a body for Prefect is application/json.\n"
        return PlainTextResponse(said, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    return None


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0 "))
        for name, value in scope["headers"]
    )


def _without_others(send: Send) -> Send:
    """Return a `send` that permits no other origin anything, and lets Prefect's pages talk to none."""

    async def without(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [one for one in message.get("headers", ()) if not one[0].lower().startswith(b"access-control-")]
            # A 304 changes the fields of the page that a browser has kept (RFC 9111, 3.2), perhaps from before.
            is_page = any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in kept)
            if is_page or message["status"] == HTTPStatus.NOT_MODIFIED:
                kept.append((b"content-security-policy", UI_POLICY))
            message = {**message, "headers": kept}
        await send(message)

    return without
