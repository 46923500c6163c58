"""The way through a proxy: forwarding for plain HTTP, a tunnel for HTTPS."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from bootpress.adapters.oci import Network, OciRegistries
from bootpress.adapters.oci.connection_pools import environment_proxy
from bootpress.adapters.oci.origins import Origin
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import Descriptor, RegistryConnection
from bootpress.core.references import Repository
from tests.integration.registry.conftest import LIMITS
from tests.support.clocks import SkippingClock
from tests.support.hostile_registry import HostileRegistry, answer, hostile_registry
from tests.support.tls import make_tls
from tests.support.tunnel import running_tunnel

REPOSITORY = Repository("registry.test:5000", "os/images")
PATH = "http://registry.test:5000/v2/os/images/manifests/v1"


def opened(proxy: str, quick: SkippingClock) -> OciRegistries:
    return OciRegistries(timing=quick.timing, network=Network(find_proxy=lambda _: proxy))


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_a_plain_registry_is_asked_through_its_proxy(
    hostile: HostileRegistry, quick: SkippingClock, scheme: str
) -> None:
    registries = opened(f"{scheme}{hostile.host}", quick)
    registry = registries.open(RegistryConnection("default", REPOSITORY.host, plain_http=True))
    assert registry.find_tag(REPOSITORY, "v1") is None
    assert [(request.path, request.headers["Host"]) for request in hostile.requests] == [(PATH, REPOSITORY.host)]
    registries.close()


def test_the_credential_of_a_proxy_is_for_the_proxy(hostile: HostileRegistry, quick: SkippingClock) -> None:
    registries = opened(f"http://me:secret@{hostile.host}", quick)
    registries.open(RegistryConnection("default", REPOSITORY.host, plain_http=True)).find_tag(REPOSITORY, "v1")
    [request] = hostile.requests
    assert request.headers["Proxy-Authorization"] == "Basic bWU6c2VjcmV0"
    assert request.authorization is None
    registries.close()


def test_a_secure_registry_is_asked_through_a_tunnel(hostile: HostileRegistry, quick: SkippingClock) -> None:
    hostile.on("registry.test:5000", answer(403))
    registries = opened(hostile.url, quick)
    with pytest.raises(RegistryUnavailable, match="403"):
        registries.open(RegistryConnection("default", REPOSITORY.host)).find_tag(REPOSITORY, "v1")
    assert {(request.method, request.path) for request in hostile.requests} == {("CONNECT", "registry.test:5000")}
    registries.close()


@pytest.mark.parametrize("to_proxy", ["http", "https"])
@pytest.mark.parametrize("large", [1 << 20, 1 << 30], ids=["large", "small"])
def test_a_blob_comes_through_a_tunnel_whole(tmp_path: Path, quick: SkippingClock, to_proxy: str, large: int) -> None:
    tls, content = make_tls(tmp_path, ["registry.test"]), b"blob" * (1 << 20)
    blob = Descriptor("a/b", f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))
    with (
        hostile_registry(tls.server) as secure,
        running_tunnel(secure.port, tls.server if to_proxy == "https" else None) as proxy,
    ):
        secure.on(f"/v2/os/images/blobs/{blob.digest}", answer(200, content))
        network = Network(lambda: tls.client, find_proxy=lambda _: proxy)
        registries = OciRegistries(
            limits=dataclasses.replace(LIMITS, large_body=large), timing=quick.timing, network=network
        )
        registries.open(RegistryConnection("default", REPOSITORY.host)).verify_blob(REPOSITORY, blob)
        assert len(secure.requests) == 1
        registries.close()


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1080", "http://", "http://127.0.0.1:port", "ftp://127.0.0.1"])
def test_a_proxy_that_is_none_is_said_to_be(quick: SkippingClock, proxy: str) -> None:
    registries = opened(proxy, quick)
    with pytest.raises(RegistryUnavailable, match="HTTPS_PROXY"):
        registries.open(RegistryConnection("default", REPOSITORY.host)).find_tag(REPOSITORY, "v1")
    registries.close()


def test_the_environment_names_proxies_as_for_every_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    monkeypatch.setenv("NO_PROXY", "inside.test,10.0.0.1")
    chosen = {
        (scheme, host): environment_proxy(Origin(scheme, host, 443))
        for scheme, host in [
            ("https", "registry.test"),
            ("http", "registry.test"),
            ("https", "inside.test"),
            ("https", "a.inside.test"),
            ("https", "10.0.0.1"),
            ("https", "localhost"),
            ("https", "127.0.0.1"),
            ("https", "::1"),
        ]
    }
    assert {key for key, proxy in chosen.items() if proxy} == {("https", "registry.test")}
