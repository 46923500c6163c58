"""Sessions of the console: the caller's token, sealed in a cookie; nothing of it is kept on the server.

The token is authenticated anew at every request, so a revoked or expired one loses access at once.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from fastapi import Request, Response

from bootpress.core.context import Context
from bootpress.core.errors import CatalogUnavailable, Unauthenticated

SESSION_TTL = timedelta(hours=12)
PATH = "/app"
_KIND = "console session"
"""Says what was sealed: other secrets are sealed with the same keys."""


class Sessions:
    """Opens and reads sessions of one installation."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._secure = context.public_url.lower().startswith("https:")
        # Browsers take a cookie by this prefix from HTTPS only.
        self.cookie = f"{'__Secure-' if self._secure else ''}bootpress_session"

    def begin(self, response: Response, token: str) -> None:
        """Give the browser a session that lasts twelve hours at most."""
        until = self._context.clock.now() + SESSION_TTL
        said = json.dumps({"kind": _KIND, "token": token, "until": until.isoformat()})
        sealed = self._context.secrets.encrypt(said).decode()
        # Lax: a link from the Prefect UI, another site where it has a host of its own, arrives logged in.
        response.set_cookie(
            self.cookie,
            sealed,
            max_age=int(SESSION_TTL.total_seconds()),
            path=PATH,
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def end(self, response: Response) -> None:
        """Have the browser forget its session."""
        response.delete_cookie(self.cookie, path=PATH, secure=self._secure, httponly=True, samesite="lax")

    def is_present(self, request: Request) -> bool:
        """Tell whether the browser sent a session, good or not."""
        return self.cookie in request.cookies

    def token(self, request: Request) -> str:
        """Return the token of the session; Unauthenticated when it is over, or none of ours."""
        over = Unauthenticated("the session is over", hint="log in again")
        try:
            said = json.loads(self._context.secrets.decrypt(request.cookies[self.cookie].encode()))
            token, until = str(said["token"]), datetime.fromisoformat(said["until"])
        except (CatalogUnavailable, KeyError, TypeError, ValueError) as error:  # sealed by nobody, or elsewhere
            raise over from error
        if said.get("kind") != _KIND or until <= self._context.clock.now():
            raise over
        return token
