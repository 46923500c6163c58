"""Names of one registry: what is one host when it is compared, and what stays as it was written."""

from __future__ import annotations

import pytest

from bootpress.core import url_validation
from bootpress.core.references import Repository, canonical_host, is_loopback, parse_repository


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("docker.io", "index.docker.io"),
        ("docker.io", "registry-1.docker.io:443"),
        ("registry.example", "REGISTRY.example"),
        ("registry.example", "registry.example."),
        ("registry.example", "registry.example:443"),
        ("registry.example", "registry.example:0443"),
        ("registry.example:5000", "registry.example.:5000"),
        ("localhost:5000", "127.0.0.1:5000"),
        ("localhost:5000", "127.9.9.9:5000"),
        ("localhost:5000", "[::1]:5000"),
        ("localhost:5000", "[::ffff:127.0.0.1]:5000"),
        ("localhost:5000", "registry.localhost:5000"),
        ("localhost", "127.0.0.1:80"),
        ("[2001:db8::1]:5000", "[2001:DB8:0::1]:5000"),
        ("[2001:db8::1]", "[2001:db8::1]:443"),
        ("192.0.2.1:5000", "[::ffff:c000:201]:5000"),
    ],
)
def test_aliases_of_one_registry_are_compared_as_one(one: str, other: str) -> None:
    assert canonical_host(one) == canonical_host(other)
    assert canonical_host(canonical_host(one)) == canonical_host(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("registry.example", "registry.example:80"),
        ("registry.example", "registry.example:5000"),
        ("localhost:5000", "localhost:5001"),
        ("docker.io", "evildocker.io"),
        ("docker.io", "docker.io:5000"),
        ("localhost:5000", "localhost.example:5000"),
        ("[2001:db8::1]:5000", "[2001:db8::1:5000]"),
    ],
)
def test_other_registries_are_compared_as_others(one: str, other: str) -> None:
    assert canonical_host(one) != canonical_host(other)


def test_an_official_image_of_docker_hub_has_two_paths() -> None:
    assert (
        parse_repository("docker.io/debian").canonical == parse_repository("index.docker.io/library/debian").canonical
    )
    assert parse_repository("registry.example/debian").canonical == Repository("registry.example", "debian")


def test_a_dot_at_the_end_of_a_host_is_left_away() -> None:
    assert str(parse_repository("registry.example.:5000/os")) == "registry.example:5000/os"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:5000", "[::1]:5000", "a.localhost:5000", "registry.example"])
def test_a_host_and_its_url_are_judged_alike(host: str) -> None:
    assert is_loopback(host) is url_validation.is_loopback(f"http://{host}/v2/")


@pytest.mark.parametrize(
    "text", ["localhost:5000x", "localhost:\u0665", "localhost:123456", "127.0.0.1:0x50", "localhost:-1"]
)
def test_what_is_no_port_makes_no_name_of_this_machine(text: str) -> None:
    assert not is_loopback(text)
