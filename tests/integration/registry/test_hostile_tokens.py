"""Token services that a registry names: whom we ask, what we say there, and what we take for a token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from bootpress.adapters.oci import OciRegistries, OciRegistry
from bootpress.adapters.oci.limits import Limits
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from tests.support.clocks import SkippingClock
from tests.support.hostile_registry import (
    Behaviour,
    HostileRegistry,
    answer,
    demand,
    endless,
    guarded,
    redirect,
    reset,
)

TAG = "/v2/os/images/manifests/v1"
OURS = "repository:os/images:pull"


def bearer(realm: str, **parameters: str) -> str:
    return ", ".join([f'Bearer realm="{realm}"', *(f'{name}="{value}"' for name, value in parameters.items())])


def query(path: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(path).query)


def token(text: Any = "t0ken", **more: Any) -> Behaviour:
    return answer(200, {"token": text, **more})


@pytest.fixture
def nobody(hostile: HostileRegistry, quick: SkippingClock) -> Iterator[OciRegistry]:
    """Return our side of the hostile registry, without a credential."""
    opened = OciRegistries(limits=Limits(silence_seconds=1), timing=quick.timing)
    yield opened.open(RegistryConnection("default", hostile.host))
    opened.close()


def guard(hostile: HostileRegistry, challenge: str) -> None:
    hostile.on(TAG, guarded(answer(404), by="Bearer t0ken", challenge=challenge))


def test_nobody_gets_a_token_for_nobody(nobody: OciRegistry, hostile: HostileRegistry, target: Repository) -> None:
    hostile.on("/token", answer(200, {"access_token": "t0ken"}))
    guard(hostile, bearer(f"{hostile.url}/token?kept=1", service="some service"))
    assert nobody.find_tag(target, "v1") is None
    [asked] = hostile.asked("/token")
    assert asked.authorization is None
    assert query(asked.path) == {"kept": ["1"], "service": ["some service"], "scope": [OURS]}


@pytest.mark.parametrize(
    ("stated", "asked_for"),
    [
        ("repository:os/images:pull,push", "repository:os/images:pull,push"),
        ("repository:os/images:*", "repository:os/images:*"),
        ("repository:os/precious:pull,push,delete", OURS),
        ("repository:os/images:pull repository:os/precious:pull", OURS),
        ("registry:catalog:*", OURS),
        ("*", OURS),
        ("", OURS),
        ("repository:os/images:" + "pull," * 1000, OURS),
    ],
)
def test_a_registry_cannot_have_a_token_for_more_than_the_repository(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, stated: str, asked_for: str
) -> None:
    hostile.on("/token", token())
    guard(hostile, bearer(f"{hostile.url}/token", scope=stated))
    assert victim.find_tag(target, "v1") is None
    assert query(hostile.asked("/token")[0].path)["scope"] == [asked_for]


def test_a_service_on_this_machine_gets_the_credential_of_a_registry_on_this_machine(
    victim: OciRegistry, hostile: HostileRegistry, elsewhere: HostileRegistry, target: Repository
) -> None:
    elsewhere.on("/token", token())
    guard(hostile, bearer(f"{elsewhere.url}/token"))
    assert victim.find_tag(target, "v1") is None
    assert (elsewhere.requests[0].authorization or "").startswith("Basic ")


@pytest.mark.parametrize(
    "realm",
    [
        "file:///etc/passwd",
        "http://192.0.2.1/token",
        "http://169.254.169.254/latest/api/token",
        "http://robot:word@127.0.0.1/token",
        "gopher://127.0.0.1/",
        "http://127.0.0.1:77777/",
        "//127.0.0.1/token",
        "token",
        "http://[",
        "http://" + "x" * 300 + "/",
    ],
)
def test_a_hostile_realm_is_not_asked(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, realm: str, quick: SkippingClock
) -> None:
    hostile.on(TAG, demand(bearer(realm)))
    with pytest.raises(RegistryUnavailable):
        victim.find_tag(target, "v1")
    assert len(hostile.requests) == 1
    assert quick.slept == []


@pytest.mark.parametrize(
    "behaviour",
    [
        answer(200, b"t0ken"),
        answer(200, b"[]"),
        answer(200, b"[" * 100_000),
        answer(200, {}),
        token(7),
        token("two words"),
        token("line\r\nHost: evil"),
        token("x" * 20_000),
        token("é"),
        answer(201, {"token": "t0ken"}),
        answer(401),
        answer(403),
        answer(404),
        answer(400),
        redirect("/elsewhere"),
        endless(),
        answer(200, {"token": "t0ken", "padding": "x" * 300_000}),
    ],
    ids=range(17),
)
def test_what_is_no_token_is_unavailable_without_another_try(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, behaviour: Behaviour
) -> None:
    hostile.on("/token", behaviour)
    guard(hostile, bearer(f"{hostile.url}/token"))
    with pytest.raises(RegistryUnavailable):
        victim.find_tag(target, "v1")
    assert [request.path.partition("?")[0] for request in hostile.requests] == [TAG, "/token"]


@pytest.mark.parametrize("failure", [answer(503), answer(429, Retry_After="3"), reset()], ids=range(3))
def test_a_service_that_recovers_is_asked_again(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, failure: Behaviour
) -> None:
    hostile.on("/token", failure, token())
    guard(hostile, bearer(f"{hostile.url}/token"))
    assert victim.find_tag(target, "v1") is None


@pytest.mark.parametrize("challenges", [[], ["Negotiate"], ["Bearer"], ['Bearer service="x"'], ["=,=,"], ["\x00é"]])
def test_a_challenge_that_we_cannot_answer_is_unavailable(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, challenges: list[str]
) -> None:
    hostile.on(TAG, demand(*challenges))
    with pytest.raises(RegistryUnavailable):
        victim.find_tag(target, "v1")
    assert len(hostile.requests) <= 4


def test_a_registry_that_is_never_content_is_asked_twice(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on("/token", token())
    hostile.on(TAG, demand(bearer(f"{hostile.url}/token")))
    with pytest.raises(RegistryUnavailable, match=r"refuses GET .* with 401"):
        victim.find_tag(target, "v1")
    assert len(hostile.asked(TAG)) == 2
    assert len(hostile.asked("/token")) == 1


@pytest.mark.parametrize("life", [None, 1, 0, -5, 10**30, "long", 1.5, True])
def test_a_token_is_used_again_only_while_it_lives(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository, quick: SkippingClock, life: Any
) -> None:
    hostile.on("/token", token(expires_in=life))
    guard(hostile, bearer(f"{hostile.url}/token"))
    victim.find_tag(target, "v1")
    quick.slept.append(3600)
    victim.find_tag(target, "v1")
    assert [request.authorization for request in hostile.asked(TAG)] == [None, "Bearer t0ken"] * 2


def test_tokens_are_kept_per_repository(victim: OciRegistry, hostile: HostileRegistry) -> None:
    hostile.on("/token", token("t0ken"))
    paths = ["os/one", "os/two", "os/one"]
    for path in paths[:2]:
        challenge = bearer(f"{hostile.url}/token")
        hostile.on(f"/v2/{path}/manifests/v1", guarded(answer(404), by="Bearer t0ken", challenge=challenge))
    for path in paths:
        victim.find_tag(Repository(hostile.host, path), "v1")
    scopes = [query(request.path)["scope"] for request in hostile.asked("/token")]
    assert scopes == [["repository:os/one:pull"], ["repository:os/two:pull"]]


def test_bearer_is_preferred_to_giving_the_password_away(
    victim: OciRegistry, hostile: HostileRegistry, target: Repository
) -> None:
    hostile.on("/token", token())
    hostile.on(TAG, demand('Basic realm="x"', bearer(f"{hostile.url}/token")), answer(404))
    assert victim.find_tag(target, "v1") is None
    assert [request.authorization for request in hostile.asked(TAG)] == [None, "Bearer t0ken"]
