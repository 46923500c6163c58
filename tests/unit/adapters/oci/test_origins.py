"""Where requests may go, and what they may carry there."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootpress.adapters.oci.origins import check_realm, follow_location, origin_of, registry_url
from bootpress.core.errors import RegistryUnavailable

PLAIN, SECURE = httpx.URL("http://127.0.0.1:5000/v2/x"), httpx.URL("https://registry.test/v2/x")


@pytest.mark.parametrize(
    ("host", "plain_http", "url"),
    [
        ("registry.test", False, "https://registry.test/"),
        ("registry.test:5000", False, "https://registry.test:5000/"),
        ("registry.test:5000", True, "http://registry.test:5000/"),
        ("localhost:5000", False, "http://localhost:5000/"),
        ("127.9.9.9", False, "http://127.9.9.9/"),
        ("[::1]:5000", False, "http://[::1]:5000/"),
        ("10.0.0.1:5000", False, "https://10.0.0.1:5000/"),
        ("docker.io", False, "https://registry-1.docker.io/"),
        ("localhost.test", False, "https://localhost.test/"),
    ],
)
def test_a_registry_is_spoken_to_by_https_but_for_this_machine(host: str, plain_http: bool, url: str) -> None:  # noqa: FBT001 - a parameter of the test
    assert str(registry_url(host, plain_http=plain_http)) == url


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_does_not_exist_is_not_another(port: str) -> None:
    with pytest.raises(RegistryUnavailable, match="no port"):
        registry_url(f"127.0.0.1:{port}", plain_http=False)


def test_an_origin_knows_the_port_of_its_scheme() -> None:
    assert origin_of(httpx.URL("https://a.test/x")) == origin_of(httpx.URL("https://a.test:443/y"))
    assert origin_of(httpx.URL("https://a.test")) != origin_of(httpx.URL("http://a.test"))
    assert str(origin_of(httpx.URL("http://[::1]:5000/x"))) == "http://[::1]:5000"
    assert str(origin_of(SECURE)) == "https://registry.test"


@pytest.mark.parametrize(
    ("current", "location", "plain_http", "target"),
    [
        (SECURE, "/moved?x=1", False, "https://registry.test/moved?x=1"),
        (SECURE, "https://cdn.test/blob?signature=x", False, "https://cdn.test/blob?signature=x"),
        (SECURE, "//cdn.test/blob", False, "https://cdn.test/blob"),
        (PLAIN, "http://localhost:6000/x", False, "http://localhost:6000/x"),
        (PLAIN, "https://cdn.test/x", False, "https://cdn.test/x"),
        (httpx.URL("http://a.test/x"), "http://b.test/x", True, "http://b.test/x"),
    ],
)
def test_redirects_that_are_followed(current: httpx.URL, location: str, plain_http: bool, target: str) -> None:  # noqa: FBT001 - a parameter of the test
    assert str(follow_location(current, location, plain_http=plain_http)) == target


@pytest.mark.parametrize(
    ("current", "location", "plain_http"),
    [
        (SECURE, "http://registry.test/x", True),
        (SECURE, "http://127.0.0.1/x", False),
        (PLAIN, "http://b.test/x", False),
        (PLAIN, None, False),
        (PLAIN, "", False),
        (PLAIN, "javascript:alert(1)", False),
        (PLAIN, "data:text/plain,x", False),
        (PLAIN, "https:///x", False),
        (PLAIN, "https://user@b.test/x", False),
        (PLAIN, "https://b.test:70000/x", False),
        (PLAIN, "https://b.test/" + "x" * 9000, False),
    ],
)
def test_redirects_that_are_not(current: httpx.URL, location: str | None, plain_http: bool) -> None:  # noqa: FBT001 - a parameter of the test
    with pytest.raises(RegistryUnavailable):
        follow_location(current, location, plain_http=plain_http)


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        (SECURE, "https://auth.test/token"),
        (PLAIN, "https://auth.test/token"),
        (PLAIN, "http://127.0.0.1:5001/token"),
        (PLAIN, "http://localhost/token"),
        (httpx.URL("http://a.test:3000/"), "http://a.test:3000/v2/token"),
    ],
)
def test_token_services_that_get_the_credential(registry: httpx.URL, realm: str) -> None:
    assert str(check_realm(realm, origin_of(registry), with_credentials=True)) == realm


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        (SECURE, "http://registry.test/token"),
        (SECURE, "http://127.0.0.1/token"),
        (PLAIN, "http://auth.test/token"),
        (httpx.URL("http://a.test:3000/"), "http://a.test/token"),
        (httpx.URL("http://a.test:3000/"), "http://127.0.0.1:3000/token"),
        (SECURE, "file:///etc/passwd"),
        (SECURE, "https://user:word@auth.test/"),
        (SECURE, ""),
        (SECURE, "/token"),
    ],
)
def test_token_services_that_do_not(registry: httpx.URL, realm: str) -> None:
    with pytest.raises(RegistryUnavailable):
        check_realm(realm, origin_of(registry), with_credentials=True)


def test_nobody_may_ask_a_plain_service_where_the_registry_is_plain() -> None:
    realm = "http://auth.test/token"
    assert str(check_realm(realm, origin_of(httpx.URL("http://a.test")), with_credentials=False)) == realm
    with pytest.raises(RegistryUnavailable):
        check_realm(realm, origin_of(SECURE), with_credentials=False)


@given(st.text(max_size=60))
def test_any_location_is_followed_safely_or_refused(location: str) -> None:
    try:
        target = follow_location(SECURE, location, plain_http=True)
    except RegistryUnavailable:
        return
    assert target.scheme == "https"
    assert target.host


@given(st.text(max_size=60))
def test_any_realm_is_asked_safely_or_refused(realm: str) -> None:
    with pytest.raises(RegistryUnavailable):
        check_realm(realm, origin_of(SECURE), with_credentials=True)
