"""Credentials from a docker configuration, through oras: the contract with its private names is held here."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from bootpress.adapters.oci.credentials import Credential, connection_credential, docker_credential
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import RegistryConnection

HOST = "registry.test:5000"
AUTH = base64.b64encode(b"me:secret").decode()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def find(config: Path, document: Any, host: str = HOST) -> Credential | None:
    config.write_text(json.dumps(document))
    return docker_credential(host, config)


def test_a_connection_carries_its_own() -> None:
    credential = connection_credential(RegistryConnection("default", HOST, "me", "secret"))
    assert credential == Credential(AUTH)
    assert connection_credential(RegistryConnection("default", HOST)) is None


def test_a_credential_is_not_in_its_repr() -> None:
    assert AUTH not in repr(Credential(AUTH))


def test_a_host_gets_its_own_credential_and_no_other(config: Path) -> None:
    document = {"auths": {HOST: {"auth": AUTH}, "other.test": {"auth": "b3RoZXI6eA=="}}}
    assert find(config, document) == Credential(AUTH)
    assert find(config, document, "registry.test") is None
    assert find(config, document, "third.test") is None


def test_docker_hub_has_a_name_of_its_own(config: Path) -> None:
    document = {"auths": {"https://index.docker.io/v1/": {"auth": AUTH}}}
    assert find(config, document, "docker.io") == Credential(AUTH)
    assert find(config, document, "evildocker.io") is None
    assert find(config, document, "registry.docker.io") is None


@pytest.mark.parametrize("where", [{"credHelpers": {HOST: "tests"}}, {"credsStore": "tests"}])
def test_credential_helpers_are_asked(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: dict[str, Any]
) -> None:
    helper = tmp_path / "docker-credential-tests"
    helper.write_text(
        '#!/bin/sh\nread host\n[ "$host" = "registry.test:5000" ] || exit 1\n'
        'echo \'{"Username": "me", "Secret": "secret"}\'\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert find(config, where) == Credential(AUTH)
    assert find(config, where, "other.test") is None


@pytest.mark.parametrize(
    "document", [{}, {"auths": None}, {"auths": {HOST: {}}}, {"auths": {HOST: {"auth": ""}}}, {"credsStore": "absent"}]
)
def test_without_a_credential_there_is_none(config: Path, document: dict[str, Any]) -> None:
    assert find(config, document) is None


def test_without_a_file_there_is_none(config: Path) -> None:
    assert docker_credential(HOST, config) is None


@pytest.mark.parametrize("document", [[], "x", {"auths": []}, {"auths": {HOST: "x"}}, {"auths": {HOST: {"auth": 7}}}])
def test_a_file_that_cannot_be_understood_is_no_crash(config: Path, document: Any) -> None:
    try:
        assert find(config, document) is None
    except RegistryUnavailable as error:
        assert "log in again" in str(error)  # noqa: PT017 - either is right


def test_a_file_that_is_no_json_says_so(config: Path) -> None:
    config.write_text("{")
    with pytest.raises(RegistryUnavailable, match="docker configuration"):
        docker_credential(HOST, config)


def test_a_header_cannot_be_smuggled_in(config: Path) -> None:
    assert find(config, {"auths": {HOST: {"auth": "x\r\nHost: evil"}}}) is None


def test_nothing_else_on_this_machine_is_read(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    (home / ".docker").mkdir(parents=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {HOST: {"auth": AUTH}}}))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ORAS_USER", "me")
    monkeypatch.setenv("ORAS_PASS", "secret")
    assert find(config, {}) is None
