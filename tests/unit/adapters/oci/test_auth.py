"""Tokens that threads share."""

from __future__ import annotations

import httpx

from bootpress.adapters.oci.auth import MAX_TOKENS, Authorizer
from bootpress.adapters.oci.credentials import Credential
from bootpress.adapters.oci.origins import Origin
from bootpress.adapters.oci.responses import RegistryResponse
from bootpress.http_client.clock import Clock

REALM = "https://auth.test/token"
CHALLENGE = [f'Bearer realm="{REALM}"']


class Service:
    """Hands out numbered tokens."""

    def __init__(self) -> None:
        self.count = 0

    def fetch(self, url: httpx.URL, headers: dict[str, str]) -> RegistryResponse:
        self.count += 1
        return RegistryResponse(200, httpx.Headers(), b'{"token": "t%d", "expires_in": 300}' % self.count, url)


def authorizer(service: Service) -> Authorizer:
    origin = Origin("https", "registry.test", 443)
    return Authorizer(origin, lambda: Credential("bWU6c2VjcmV0"), service.fetch, Clock())


def test_whoever_comes_second_takes_the_token_that_the_first_one_fetched() -> None:
    service = Service()
    tokens = authorizer(service)
    assert tokens.answer(CHALLENGE, "repository:a:pull", sent=None) == "Bearer t1"
    assert tokens.answer(CHALLENGE, "repository:a:pull", sent=None) == "Bearer t1"  # sent before there was one
    assert tokens.answer(CHALLENGE, "repository:a:pull", sent="Bearer t1") == "Bearer t2"  # refused: a new one
    assert tokens.header("repository:a:pull") == "Bearer t2"
    assert service.count == 2


def test_a_token_is_for_its_scope_alone() -> None:
    tokens = authorizer(Service())
    tokens.answer(CHALLENGE, "repository:a:pull", sent=None)
    assert tokens.header("repository:a:delete") is None
    assert tokens.header("repository:b:pull") is None


def test_tokens_are_not_kept_without_number() -> None:
    tokens = authorizer(Service())
    for number in range(MAX_TOKENS + 1):
        tokens.answer(CHALLENGE, f"repository:r{number}:pull", sent=None)
    assert tokens.header("repository:r0:pull") is None
    assert tokens.header(f"repository:r{MAX_TOKENS}:pull") is not None
