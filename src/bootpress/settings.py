"""Where this installation runs: one typed Settings, from the environment with the prefix BOOTPRESS_.

What it talks to (registries, forges) is not here but in Prefect blocks.
"""

from __future__ import annotations

import os
import tempfile
import unicodedata
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final

from cryptography.fernet import Fernet
from platformdirs import user_data_path
from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bootpress.core.errors import InvalidInput
from bootpress.core.url_validation import check_authorities, check_host, check_networks, parse_base_url

DRIVERS: Final = {
    **dict.fromkeys(("postgres", "postgresql", "postgresql+psycopg"), "postgresql+psycopg"),
    **dict.fromkeys(("sqlite", "sqlite+pysqlite"), "sqlite"),
}
"""How the catalog is reached, by the scheme of its URL as people write it."""

_UNSPELT: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters and line ends, and bytes that are no UTF-8."""
_ANOTHER: Final = "choose another with --home, or set BOOTPRESS_HOME to one"
MAX_HOME: Final = 400
"""Bytes of a home's path: SQLite opens no path of more than 512, its own additions included."""
MAX_DAYS: Final = 36_500
"""A hundred years: what is to be kept for good."""


class Settings(BaseSettings):
    """Everything that the environment decides; each field's description is its documentation."""

    # A unit file or a compose file sets an empty variable where it means none.
    model_config = SettingsConfigDict(
        env_prefix="BOOTPRESS_", env_ignore_empty=True, frozen=True, extra="ignore", populate_by_name=True
    )

    home: Annotated[Path, Field(description="Folder for everything that is written while running")] = Field(
        default_factory=lambda: user_data_path("bootpress", appauthor=False), validate_default=True
    )
    host: Annotated[str, Field(description="Address the API listens on")] = "127.0.0.1"
    port: Annotated[
        int | None, Field(ge=1, le=65535, description="Port of the API; a new home starts looking at 8480")
    ] = None
    database_url: Annotated[SecretStr | None, Field(description="Catalog database; SQLite in the home by default")] = (
        None
    )
    public_url: Annotated[
        str | None,
        Field(
            description="Base of the URLs that others call; the API's own URL by default",
            validation_alias=AliasChoices("BOOTPRESS_PUBLIC_URL", "POWERNODE_PUBLIC_URL"),
        ),
    ] = None
    encryption_key: Annotated[
        SecretStr | None,
        Field(description="Fernet keys, comma-separated: the first encrypts, all decrypt; made in the home if unset"),
    ] = None
    trusted_proxies: Annotated[
        str | None,
        Field(description="Addresses or networks, comma-separated, of the proxies whose X-Forwarded-For is believed"),
    ] = None
    allowed_hosts: Annotated[
        str | None,
        Field(
            description="Hosts (host or host:port, comma-separated) beside loopback by which Prefect and the local "
            "registry are called, by a reverse proxy for example"
        ),
    ] = None
    webhook_rate: Annotated[float, Field(gt=0, description="Deliveries a second that one webhook may send")] = 50.0
    webhook_burst: Annotated[int, Field(gt=0, description="Deliveries that one webhook may send at once")] = 1000
    webhook_daily_mib: Annotated[
        int,
        Field(ge=1, le=10**6, description="MiB that one webhook may store in 24 hours, 16 KiB a delivery included"),
    ] = 256
    delivery_days: Annotated[
        int, Field(ge=1, le=MAX_DAYS, description="Days that finished deliveries and their attempts are kept")
    ] = 90
    deliveries_kept: Annotated[
        int, Field(ge=100, le=10**9, description="Finished deliveries of one webhook that are kept at most")
    ] = 10_000
    event_days: Annotated[int, Field(ge=1, le=MAX_DAYS, description="Days that events are kept")] = 400
    events_kept: Annotated[
        int, Field(ge=100, le=10**9, description="Events of one kind and account that are kept at most")
    ] = 20_000
    worker_threads: Annotated[
        int, Field(gt=0, le=200, description="Flow runs that the resident worker runs at once")
    ] = 24
    launches_in_flight: Annotated[int, Field(gt=0, le=100, description="Ingest runs of one delivery each at once")] = 8

    run_wait_hours: Annotated[
        float, Field(gt=0, le=8760, description="Hours that a run of the embedded forge may wait for its turn")
    ] = 24.0
    run_wait_hours_without_worker: Annotated[
        float,
        Field(gt=0, le=8760, description="Hours that it may wait while its repository has no worker, if that is less"),
    ] = 1.0
    runner_image: Annotated[
        str,
        Field(min_length=1, max_length=300, description="Image of the runners that system_provision_ci_worker runs"),
    ] = "gitea/act_runner"

    docker_host: Annotated[
        str,
        Field(
            description="Docker daemon that runners run on where the call names none",
            validation_alias=AliasChoices("BOOTPRESS_DOCKER_HOST", "DOCKER_HOST"),
        ),
    ] = "unix:///var/run/docker.sock"
    registry: Annotated[
        str | None, Field(description="Registry to use (host:port) in place of a local one that `up` starts")
    ] = None
    docker_config_folder: Annotated[
        Path,
        Field(
            description="Folder of the docker config whose credentials serve registries that no connection is for",
            validation_alias=AliasChoices("BOOTPRESS_DOCKER_CONFIG_FOLDER", "DOCKER_CONFIG"),
        ),
    ] = Field(default_factory=lambda: Path.home() / ".docker")

    @field_validator("home")
    @classmethod
    def _check_home(cls, home: Path) -> Path:
        return check_path(home)

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: SecretStr | None) -> SecretStr | None:
        return SecretStr(_database_url(url.get_secret_value())) if url is not None else None

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        return parse_base_url(url, field="BOOTPRESS_PUBLIC_URL") if url is not None else None

    @field_validator("trusted_proxies")
    @classmethod
    def _check_trusted_proxies(cls, given: str | None) -> str | None:
        return ",".join(check_networks(given, field="BOOTPRESS_TRUSTED_PROXIES")) if given is not None else None

    @field_validator("allowed_hosts")
    @classmethod
    def _check_allowed_hosts(cls, given: str | None) -> str | None:
        return ",".join(check_authorities(given, field="BOOTPRESS_ALLOWED_HOSTS")) if given is not None else None

    @field_validator("registry")
    @classmethod
    def _check_registry(cls, host: str | None) -> str | None:
        return check_host(host, field="BOOTPRESS_REGISTRY") if host is not None else None

    @property
    def allowed_host_list(self) -> tuple[str, ...]:
        """Return the further Hosts of Prefect and the local registry."""
        return tuple(self.allowed_hosts.split(",")) if self.allowed_hosts else ()

    @property
    def docker_config(self) -> Path:
        """Return the docker config file, which need not exist."""
        return self.docker_config_folder / "config.json"

    @cached_property
    def catalog_url(self) -> str:
        """Return the database URL, with its password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home / 'bootpress.db'}"

    @cached_property
    def encryption_keys(self) -> tuple[str, ...]:
        """Return the Fernet keys, making one in the home (mode 0600) when none is configured."""
        if self.encryption_key is not None:
            return _read_keys(
                self.encryption_key.get_secret_value(),
                of="BOOTPRESS_ENCRYPTION_KEY",
                hint="a Fernet key is 32 bytes in URL-safe base64: cryptography.fernet.Fernet.generate_key makes one",
            )
        path = self.home / "encryption.key"
        return _read_keys(
            _key_of_home(path),
            of=str(path),
            hint="restore it from a backup; only where nothing was encrypted yet, remove it, and a new one is made",
        )


def check_path(home: Path) -> Path:
    """Return the path of a home; InvalidInput, which names it, where it cannot be the path of databases."""
    for letter in str(home):
        if letter in "?#" or unicodedata.category(letter) in _UNSPELT:
            raise InvalidInput(
                f"the path of the home {str(home)!r} holds {letter!r}, which cuts the addresses of its databases short",
                hint=_ANOTHER,
            )
    if len(os.fsencode(home)) > MAX_HOME:
        said = f"the path of the home {str(home)!r} is longer than {MAX_HOME} bytes, too long for SQLite in it"
        raise InvalidInput(said, hint=_ANOTHER)
    return home


def _key_of_home(path: Path) -> str:
    """Return the key in a file, made at first: it appears there whole and on the disk, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as file:  # mode 0600
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
            try:
                os.link(file.name, path)
            except FileExistsError:
                pass  # another process was first: its key is everybody's
            except OSError:
                _write_first(path)
        _sync_folder(path.parent)
    return path.read_text()


def _write_first(path: Path) -> None:
    """Make the key where no file can have two names, as on FAT; there, a crash may leave a part, which is no key."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    except OSError as error:
        raise InvalidInput(
            f"no key can be made in the home {path.parent}: {error.strerror}",
            hint="set BOOTPRESS_HOME to a folder on another file system, or BOOTPRESS_ENCRYPTION_KEY to a key",
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(Fernet.generate_key())
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()
        raise


def _sync_folder(folder: Path) -> None:
    """Have the disk know the folder's new file, before anything is encrypted with what it holds."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _database_url(url: str) -> str:
    """Return a database URL with the driver that we ship; InvalidInput, which never shows a password, for others."""
    from sqlalchemy import make_url  # noqa: PLC0415 - SQLAlchemy takes a moment to import, and most need no URL
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - as above

    hint = "write postgresql://user:password@host/name, or sqlite:////path/of/a/file"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Their words may hold a piece of the password.
        raise InvalidInput("BOOTPRESS_DATABASE_URL is not the URL of a database", hint=hint) from None
    driver = DRIVERS.get(parsed.drivername)
    if driver is None:
        raise InvalidInput(f"BOOTPRESS_DATABASE_URL: there is no driver {parsed.drivername[:40]!r}", hint=hint)
    if driver == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise InvalidInput("BOOTPRESS_DATABASE_URL names no file: several processes share the database", hint=hint)
    if driver == "sqlite" and ("#" in url or "?" in url):
        raise InvalidInput("BOOTPRESS_DATABASE_URL holds ? or #, which no path of a SQLite database may", hint=hint)
    return parsed.set(drivername=driver).render_as_string(hide_password=False)


def _read_keys(text: str, *, of: str, hint: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if not keys:
        raise InvalidInput(f"{of} is empty", hint=hint)
    for key in keys:
        try:
            Fernet(key)
        except ValueError as error:
            raise InvalidInput(f"{of} holds something that is not a Fernet key", hint=hint) from error
    return keys
