"""Basic and token login at a real docker-registry."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpress.adapters.oci import OciRegistries
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import DeleteResult, RegistryConnection
from bootpress.core.references import Repository
from tests.support.registry import running_registry
from tests.support.token_service import TokenService, running_token_service

USER, PASSWORD = "robot", "pull-and-push"
# As `htpasswd -nbB` writes it; the registry takes bcrypt only, which no library here has.
HTPASSWD = f"{USER}:$2b$05$NXBat/BzLBF/zSdgwTZ/Uun/t6L1jZ8o6mmM50yR0p5j7V8LtJxjq\n"


@pytest.fixture(scope="module")
def basic_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return a registry that wants a user name and a password."""
    folder = tmp_path_factory.mktemp("basic")
    (folder / "htpasswd").write_text(HTPASSWD)
    auth = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    with running_registry(folder, auth=auth) as host:
        yield host


@pytest.fixture(scope="module")
def token_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenService]:
    users = {
        f"{USER}:{PASSWORD}": frozenset({"pull", "push", "delete"}),
        "reader:reader": frozenset({"pull"}),
        "": frozenset[str](),
    }
    with running_token_service(tmp_path_factory.mktemp("tokens"), users) as service:
        yield service


@pytest.fixture(scope="module")
def token_host(tmp_path_factory: pytest.TempPathFactory, token_service: TokenService) -> Iterator[str]:
    """Return a registry that wants tokens of the service."""
    with running_registry(tmp_path_factory.mktemp("token"), auth=token_service.auth) as host:
        yield host


def push_read_delete(registries: OciRegistries, connection: RegistryConnection) -> None:
    repository = Repository(connection.host, "os/images")
    digest = registries.open_pusher(connection).push_image(repository, [], tag="v1")
    registry = registries.open(connection)
    registry.check()
    assert registry.resolve_tag(repository, "v1") == digest
    manifest = registry.fetch_manifest(repository, digest)
    assert manifest.config is not None
    registry.verify_blob(repository, manifest.config)
    assert registry.delete_manifest(repository, digest) is DeleteResult.DELETED


def test_basic_login_does_everything(registries: OciRegistries, basic_host: str) -> None:
    push_read_delete(registries, RegistryConnection("default", basic_host, USER, PASSWORD))


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), (None, None)])
def test_without_a_good_password_the_registry_is_unavailable_and_the_hint_says_what_to_do(
    registries: OciRegistries, basic_host: str, user: str | None, password: str | None
) -> None:
    registry = registries.open(RegistryConnection("default", basic_host, user, password))
    with pytest.raises(RegistryUnavailable) as caught:
        registry.check()
    assert "system_connect_registry" in str(caught.value)
    assert "wrong" not in repr(caught.value)


def test_one_connection_never_uses_the_credential_of_another(registries: OciRegistries, basic_host: str) -> None:
    registries.open(RegistryConnection("default", basic_host, USER, PASSWORD)).check()
    for other in (RegistryConnection("default", basic_host), RegistryConnection("default", basic_host, USER, "old")):
        with pytest.raises(RegistryUnavailable):
            registries.open(other).check()


def test_what_docker_login_left_is_used(basic_host: str, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    config.write_text(json.dumps({"auths": {basic_host: {"auth": auth}}}))
    registries = OciRegistries(docker_config=config)
    push_read_delete(registries, RegistryConnection("default", basic_host))
    registries.close()


def test_a_password_that_docker_login_renews_is_read_again(basic_host: str, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    registries = OciRegistries(docker_config=config)
    registry = registries.open(RegistryConnection("default", basic_host))
    for password, works in [("old", False), (PASSWORD, True)]:
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        config.write_text(json.dumps({"auths": {basic_host: {"auth": auth}}}))
        if works:
            registry.check()
        else:
            with pytest.raises(RegistryUnavailable):
                registry.check()
    registries.close()


def test_token_login_does_everything(registries: OciRegistries, token_host: str) -> None:
    push_read_delete(registries, RegistryConnection("default", token_host, USER, PASSWORD))


def test_a_token_is_fetched_once_for_each_scope(
    registries: OciRegistries, token_host: str, token_service: TokenService
) -> None:
    connection = RegistryConnection("default", token_host, USER, PASSWORD)
    repository = Repository(token_host, "os/once")
    registries.open_pusher(connection).push_image(repository, [], tag="v1")
    token_service.asked.clear()
    for _ in range(3):
        registries.open(connection).resolve_tag(repository, "v1")
    assert token_service.asked == [("repository:os/once:pull", USER)]


@pytest.mark.parametrize(("user", "password"), [(None, None), (USER, "wrong")])
def test_who_gets_no_good_token_is_refused_with_a_hint(
    registries: OciRegistries, token_host: str, user: str | None, password: str | None
) -> None:
    registry = registries.open(RegistryConnection("default", token_host, user, password))
    with pytest.raises(RegistryUnavailable, match="system_connect_registry"):
        registry.find_tag(Repository(token_host, "os/images"), "v1")


def test_who_may_only_read_cannot_delete(registries: OciRegistries, token_host: str) -> None:
    repository = Repository(token_host, "os/kept")
    pusher = registries.open_pusher(RegistryConnection("default", token_host, USER, PASSWORD))
    digest = pusher.push_image(repository, [])
    reader = registries.open(RegistryConnection("default", token_host, "reader", "reader"))
    assert reader.fetch_manifest(repository, digest).digest == digest
    assert reader.delete_manifest(repository, digest) is DeleteResult.DENIED
    assert reader.fetch_manifest(repository, digest).digest == digest


@pytest.mark.parametrize(("user", "password"), [(USER, "wrong"), (None, None)])
def test_who_cannot_log_in_is_refused_a_delete(
    registries: OciRegistries, basic_host: str, user: str | None, password: str | None
) -> None:
    repository = Repository(basic_host, "os/kept")
    digest = registries.open_pusher(RegistryConnection("default", basic_host, USER, PASSWORD)).push_image(
        repository, []
    )
    stranger = registries.open(RegistryConnection("default", basic_host, user, password))
    assert stranger.delete_manifest(repository, digest) is DeleteResult.DENIED


def test_a_token_that_has_expired_is_fetched_anew(registries: OciRegistries, tmp_path: Path) -> None:
    users = {f"{USER}:{PASSWORD}": frozenset({"pull", "push"})}
    with (
        running_token_service(tmp_path, users, lifetime=300) as service,
        running_registry(tmp_path / "registry", auth=service.auth) as host,
    ):
        connection, repository = RegistryConnection("default", host, USER, PASSWORD), Repository(host, "os/images")
        digest = registries.open_pusher(connection).push_image(repository, [], tag="v1")
        registry = registries.open(connection)
        service.lifetime = -120  # the registry allows a minute of leeway: over before it is issued
        with pytest.raises(RegistryUnavailable):
            registry.resolve_tag(repository, "v1")
        service.lifetime = 300
        service.asked.clear()
        assert registry.resolve_tag(repository, "v1") == digest
        assert len(service.asked) == 1
