"""Reading WWW-Authenticate."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.adapters.oci.www_authenticate import choose_challenge, parse_challenges

DOCKER_HUB = (
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/x:pull,push"'
)


def test_a_bearer_challenge_is_read_with_commas_inside_its_scope() -> None:
    [challenge] = parse_challenges([DOCKER_HUB])
    assert challenge.scheme == "bearer"
    assert challenge.parameters == {
        "realm": "https://auth.docker.io/token",
        "service": "registry.docker.io",
        "scope": "repository:library/x:pull,push",
    }


@pytest.mark.parametrize(
    ("headers", "schemes"),
    [
        (['Basic realm="x"', DOCKER_HUB], ["basic", "bearer"]),
        (['Basic realm="x", Bearer realm="y", service=z'], ["basic", "bearer"]),
        (["BASIC"], ["basic"]),
        (["Negotiate, Basic realm=x"], ["negotiate", "basic"]),
        ([", ,Basic   realm = x ,"], ["basic"]),
        ([""], []),
        ([], []),
        (["=x"], []),
    ],
)
def test_several_challenges_are_read(headers: list[str], schemes: list[str]) -> None:
    assert [challenge.scheme for challenge in parse_challenges(headers)] == schemes


def test_quotes_may_be_escaped() -> None:
    [challenge] = parse_challenges([r'Basic realm="a \"b\" \\ c", REALM2=d'])
    assert challenge.parameters == {"realm": r'a "b" \ c', "realm2": "d"}


def test_bearer_is_chosen_before_basic_and_only_with_a_realm() -> None:
    chosen = [
        choose_challenge(headers)
        for headers in (['Basic realm="x"', DOCKER_HUB], ['Bearer service="x"', "Basic"], ["Bearer"], ["Digest"])
    ]
    assert [each and each.scheme for each in chosen] == ["bearer", "basic", None, None]


@given(st.text(max_size=300))
def test_any_header_is_read_without_an_error(header: str) -> None:
    parse_challenges([header])


@pytest.mark.parametrize("part", ['a="', "a=b,", "\\", '"', " ", ",", 'B a="\\'])
def test_a_long_header_takes_no_long_time(part: str) -> None:
    begun = time.monotonic()
    parse_challenges(["Bearer " + part * 100_000])
    assert time.monotonic() - begun < 0.5
