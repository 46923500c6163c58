"""Who we are, to a registry: nobody, Basic, or a Bearer token from the service it names (distribution token spec)."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from bootpress.adapters.oci.credentials import Credential, FindCredential
from bootpress.adapters.oci.origins import Origin, check_realm
from bootpress.adapters.oci.responses import RegistryResponse
from bootpress.adapters.oci.www_authenticate import Challenge, choose_challenge
from bootpress.core.errors import RegistryDenied, RegistryUnavailable
from bootpress.http_client.clock import Clock

HINT = "connect the registry with a credential that may do this: system_connect_registry"
SHORTEST_LIFE = 60  # seconds, where a service states no expires_in
LONGEST_LIFE = 3600
MARGIN = 10
MAX_TOKENS = 1000
MAX_SCOPE = 1024
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}", re.ASCII)

FetchToken = Callable[[httpx.URL, dict[str, str]], RegistryResponse]


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    until: float


class Authorizer:
    """Authorization headers for one registry, kept per scope; shared by threads.

    A scope is `repository:<path>:<actions>`, or empty for the registry as a whole.
    """

    def __init__(self, origin: Origin, find_credential: FindCredential, fetch: FetchToken, timing: Clock) -> None:
        self._origin, self._find_credential, self._fetch, self._timing = origin, find_credential, fetch, timing
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self._basic: str | None = None

    def header(self, scope: str) -> str | None:
        """Return the Authorization header that worked for this scope before, if it is still good."""
        with self._lock:
            token = self._tokens.get(scope)
            if token is not None and token.until > self._timing.monotonic():
                return f"Bearer {token.text}"
            return self._basic

    def answer(self, headers: list[str], scope: str, *, sent: str | None) -> str:
        """Return the header to repeat a request with that got 401 with these WWW-Authenticate headers.

        Raises RegistryUnavailable when we have nothing better than what was sent, or will not say it there.
        """
        known = self.header(scope)
        if known is not None and known != sent:  # another thread was faster
            return known
        challenge = choose_challenge(headers)
        if challenge is None:
            raise RegistryDenied(f"{self._origin} refuses access and does not say how to get it", hint=HINT)
        credential = self._find_credential()
        if challenge.scheme == "basic":
            return self._answer_basic(credential, sent)
        return self._answer_bearer(challenge, scope, credential)

    def _answer_basic(self, credential: Credential | None, sent: str | None) -> str:
        if credential is None:
            raise RegistryDenied(f"{self._origin} asks for a user name and a password", hint=HINT)
        if credential.header == sent:
            raise RegistryDenied(f"{self._origin} refuses our credential", hint=HINT)
        with self._lock:
            self._basic = credential.header
        return credential.header

    def _answer_bearer(self, challenge: Challenge, scope: str, credential: Credential | None) -> str:
        url = check_realm(challenge.parameters["realm"], self._origin, with_credentials=credential is not None)
        query = {"service": challenge.parameters.get("service", "")}
        query["scope"] = _narrow_scope(challenge.parameters.get("scope", ""), scope)
        url = url.copy_merge_params({name: value for name, value in query.items() if value})
        answer = self._fetch(url, {"authorization": credential.header} if credential else {})
        if answer.status in {401, 403}:
            who = "our credential" if credential else "a token for nobody"
            raise RegistryDenied(f"the token service of {self._origin} refuses {who} ({answer})", hint=HINT)
        if answer.status != HTTPStatus.OK:
            raise RegistryUnavailable(f"the token service of {self._origin} answers {answer}")
        token, life = _read_token(answer.body, self._origin)
        self._keep(scope, _Token(token, self._timing.monotonic() + life))
        return f"Bearer {token}"

    def _keep(self, scope: str, token: _Token) -> None:
        with self._lock:
            if len(self._tokens) >= MAX_TOKENS:
                self._tokens.clear()
            self._tokens[scope] = token


def _narrow_scope(asked: str, ours: str) -> str:
    """Return the scope to ask for: the registry's own words where they are about our repository, else ours.

    A registry that asked for more would get a token for more: it could use it elsewhere.
    """
    if len(asked) > MAX_SCOPE or not ours:
        return ours
    repository = ours.rpartition(":")[0]
    return asked if re.fullmatch(re.escape(repository) + r":[a-z*,]+", asked) else ours


def _read_token(body: bytes, origin: Origin) -> tuple[str, float]:
    try:
        stated = json.loads(body)
        token = stated.get("token") or stated.get("access_token")
        life = stated.get("expires_in")
    except (ValueError, AttributeError, RecursionError) as error:
        raise RegistryUnavailable(f"the token service of {origin} answers with no JSON object") from error
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise RegistryUnavailable(f"the token service of {origin} answers without a token")
    seconds = life if isinstance(life, int) and life > 0 else SHORTEST_LIFE
    return token, max(min(seconds, LONGEST_LIFE) - MARGIN, 1)
