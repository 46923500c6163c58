"""Settings are checked where they are read: what cannot work is one line that names the variable."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from bootpress.core.errors import InvalidInput
from bootpress.settings import Settings


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p%40ss@h/d?sslmode=require", "postgresql+psycopg://u:p%40ss@h/d?sslmode=require"),
        ("postgresql://h:5433/d", "postgresql+psycopg://h:5433/d"),
        ("postgresql+psycopg://h/d", "postgresql+psycopg://h/d"),
        ("sqlite:////var/lib/press.db", "sqlite:////var/lib/press.db"),
        ("sqlite+pysqlite:///own.db", "sqlite:///own.db"),
    ],
)
def test_a_database_is_reached_with_the_driver_that_we_ship(given: str, used: str) -> None:
    settings = Settings(database_url=SecretStr(given))
    assert settings.catalog_url == used
    assert Settings(database_url=settings.database_url).catalog_url == used


@pytest.mark.parametrize(
    "url",
    [
        "foo bar",
        "postgresql",
        "postgresql://u:geheim@h:5a/d",
        "mysql://u:geheim@h/d",
        "postgresql+psycopg2://u:geheim@h/d",
        "sqlite://",
        "sqlite:///:memory:",
    ],
)
def test_what_is_no_database_of_ours_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(InvalidInput, match="BOOTPRESS_DATABASE_URL") as caught:
        Settings(database_url=SecretStr(url))
    assert "geheim" not in "".join(traceback.format_exception(caught.value))
    assert "postgresql://" in str(caught.value.hint)


@pytest.mark.parametrize("url", ["foo bar", "press.example.org", "ftp://press.example.org", "https://h/?a=b"])
def test_a_public_url_that_no_pipeline_could_post_to_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput, match="BOOTPRESS_PUBLIC_URL"):
        Settings(public_url=url)


@pytest.mark.parametrize("host", ["http://x:5000/y", "x:5000/y", "x y:5000", "host:99999"])
def test_a_registry_that_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput, match="BOOTPRESS_REGISTRY"):
        Settings(registry=host)


def test_good_addresses_are_kept_in_one_spelling() -> None:
    settings = Settings(public_url="https://press.example.org/base/", registry="Registry.Example.org:5000")
    assert settings.public_url == "https://press.example.org/base"
    assert settings.registry == "registry.example.org:5000"


@pytest.mark.parametrize("proxies", ["proxy.example.org", "*", "10.0.0.0/33", "10.0.0.1;10.0.0.2"])
def test_a_trusted_proxy_that_is_no_address_is_refused(proxies: str) -> None:
    with pytest.raises(InvalidInput, match="BOOTPRESS_TRUSTED_PROXIES"):
        Settings(trusted_proxies=proxies)


def test_trusted_proxies_are_addresses_and_networks() -> None:
    assert Settings().trusted_proxies is None
    given = "192.0.2.1, 10.1.2.3/8,, 2001:DB8::0"
    assert Settings(trusted_proxies=given).trusted_proxies == "192.0.2.1,10.0.0.0/8,2001:db8::"


@pytest.mark.parametrize("port", ["0", "70000", "many"])
def test_a_port_that_is_none_is_refused(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOOTPRESS_PORT", port)
    with pytest.raises(ValidationError, match="port"):
        Settings()


def test_an_empty_variable_means_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unset = Settings(home=tmp_path)
    for name, field in Settings.model_fields.items():
        names = [f"BOOTPRESS_{name.upper()}"] if field.validation_alias is None else repr(field.validation_alias)
        for variable in re.findall(r"[A-Z_]{6,}", str(names)):
            monkeypatch.setenv(variable, "")
    assert Settings(home=tmp_path) == unset.model_copy(update={"docker_config_folder": Path.home() / ".docker"})
