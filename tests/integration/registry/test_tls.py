"""HTTPS registries, and names that lead where strangers may not send us; the names are this test's to resolve."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bootpress.adapters.oci import Network, OciRegistries, OciRegistry
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from tests.support.clocks import SkippingClock
from tests.support.hostile_registry import HostileRegistry, answer, demand, hostile_registry, redirect
from tests.support.tls import Tls, make_tls

TAG = "/v2/os/images/manifests/v1"
NAMES = {
    "registry.test": ["127.0.0.1"],
    "token.test": ["127.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "mixed.test": ["fe80::1%lo", "127.0.0.1"],
}


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Return a server's certificate for the names of this test, and trust in it."""
    return make_tls(tmp_path_factory.mktemp("tls"), NAMES)


@pytest.fixture
def secure(tls: Tls) -> Iterator[HostileRegistry]:
    with hostile_registry(tls.server) as running:
        yield running


def resolve(host: str) -> list[str]:
    return NAMES.get(host, [host])


@pytest.fixture
def opened(tls: Tls, quick: SkippingClock) -> Iterator[OciRegistries]:
    network = Network(lambda: tls.client, resolve, lambda _: None)
    registries = OciRegistries(timing=quick.timing, network=network)
    yield registries
    registries.close()


def connect(opened: OciRegistries, name: str, port: int, *, plain_http: bool = False) -> tuple[OciRegistry, Repository]:
    host = f"{name}:{port}"
    registry = opened.open(RegistryConnection("default", host, "robot", "secret", plain_http=plain_http))
    return registry, Repository(host, "os/images")


def test_a_registry_with_a_name_is_spoken_to_by_https(opened: OciRegistries, secure: HostileRegistry) -> None:
    registry, repository = connect(opened, "registry.test", secure.port)
    assert registry.find_tag(repository, "v1") is None
    assert [request.path for request in secure.requests] == [TAG]


def test_a_registry_with_a_name_is_never_spoken_to_by_http(opened: OciRegistries, hostile: HostileRegistry) -> None:
    registry, repository = connect(opened, "registry.test", hostile.port)
    with pytest.raises(RegistryUnavailable):
        registry.find_tag(repository, "v1")
    assert hostile.requests == []


def test_unless_its_connection_says_so(opened: OciRegistries, hostile: HostileRegistry) -> None:
    registry, repository = connect(opened, "registry.test", hostile.port, plain_http=True)
    assert registry.find_tag(repository, "v1") is None


def test_a_certificate_that_nobody_trusts_is_refused(secure: HostileRegistry, quick: SkippingClock) -> None:
    registries = OciRegistries(timing=quick.timing, network=Network(resolve=resolve, find_proxy=lambda _: None))
    registry, repository = connect(registries, "registry.test", secure.port)
    with pytest.raises(RegistryUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        registry.find_tag(repository, "v1")
    assert secure.requests == []
    registries.close()


def test_https_is_not_left_for_http(opened: OciRegistries, secure: HostileRegistry, hostile: HostileRegistry) -> None:
    secure.on(TAG, redirect(f"{hostile.url}/x"))
    registry, repository = connect(opened, "registry.test", secure.port)
    with pytest.raises(RegistryUnavailable, match="from HTTPS to plain HTTP"):
        registry.find_tag(repository, "v1")
    assert hostile.requests == []


def test_a_credential_is_not_sent_to_a_plain_token_service(
    opened: OciRegistries, secure: HostileRegistry, hostile: HostileRegistry
) -> None:
    for server, plain_http in [(secure, False), (hostile, True)]:
        server.on(TAG, demand(f'Bearer realm="http://token.test:{hostile.port}/token"'))
        registry, repository = connect(opened, "registry.test", server.port, plain_http=plain_http)
        with pytest.raises(RegistryUnavailable, match="plain HTTP"):
            registry.find_tag(repository, "v1")
    assert hostile.asked("/token") == []


def test_a_credential_is_sent_to_a_secure_token_service(opened: OciRegistries, secure: HostileRegistry) -> None:
    secure.on(TAG, demand(f'Bearer realm="https://token.test:{secure.port}/token"'), answer(404))
    secure.on("/token", answer(200, {"token": "t0ken"}))
    registry, repository = connect(opened, "registry.test", secure.port)
    assert registry.find_tag(repository, "v1") is None
    assert [request.authorization for request in secure.asked("/token")] == ["Basic cm9ib3Q6c2VjcmV0"]


@pytest.mark.parametrize("lead", ["redirect", "realm"])
def test_a_name_of_a_link_local_address_is_not_connected_to(
    opened: OciRegistries, secure: HostileRegistry, lead: str
) -> None:
    url = f"https://metadata.test:{secure.port}/latest"
    secure.on(TAG, redirect(url) if lead == "redirect" else demand(f'Bearer realm="{url}"'))
    registry, repository = connect(opened, "registry.test", secure.port)
    with pytest.raises(RegistryUnavailable, match="inside our own network"):
        registry.find_tag(repository, "v1")
    assert len(secure.requests) == 1


def test_no_registry_is_at_a_link_local_address(opened: OciRegistries, quick: SkippingClock) -> None:
    registry, repository = connect(opened, "metadata.test", 80, plain_http=True)
    with pytest.raises(RegistryUnavailable, match="link-local"):
        registry.find_tag(repository, "v1")
    assert quick.slept == []


def test_of_several_addresses_an_allowed_one_is_taken(opened: OciRegistries, secure: HostileRegistry) -> None:
    registry, repository = connect(opened, "mixed.test", secure.port)
    assert registry.find_tag(repository, "v1") is None
