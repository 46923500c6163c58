"""The environments of the stack's processes: what they write lies in the home, secrets go only to who needs them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr
from sqlalchemy import make_url

from bootpress.settings import Settings
from bootpress.stack.home import Home

OURS: Final = ("BOOTPRESS_", "POWERNODE_")
PREFECTS_DATABASE: Final = ("PREFECT_SERVER_DATABASE_", "PREFECT_API_DATABASE_")
"""Where Prefect's server keeps its history, password included: nobody else's to know."""


def configured(base: Mapping[str, str] = os.environ) -> str:
    """Return the API of the Prefect server that the environment names; empty where there is to be one of our own."""
    return base.get("PREFECT_API_URL", "").strip().rstrip("/")


def auth_string(home: Home, base: Mapping[str, str] = os.environ) -> str:
    """Return what our own Prefect server wants to hear: as the environment says, else as the home keeps it."""
    given = base.get("PREFECT_SERVER_API_AUTH_STRING") or base.get("PREFECT_API_AUTH_STRING")
    return given or home.prefect_auth_string()


def clean_environment(base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment of somebody who has configured neither us nor Prefect."""
    return {name: value for name, value in base.items() if not name.startswith((*OURS, "PREFECT_"))}


def common(home: Home, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what every process gets: nobody's settings, and folders of the home for data, caches and scratch."""
    return clean_environment(base) | {
        "XDG_DATA_HOME": str(home.folder / "data"),
        "XDG_CACHE_HOME": str(home.folder / "cache"),
        "TMPDIR": str(home.folder / "tmp"),
        "PYTHONUNBUFFERED": "1",
        "DO_NOT_TRACK": "1",
    }


def prefect_environment(home: Home, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what Prefect, its clients included, needs in order to write to the home and to tell nobody."""
    given = {name: value for name, value in base.items() if name.startswith("PREFECT_")}
    environment = (
        common(home, base)
        | given
        | {
            "PREFECT_HOME": str(home.prefect),
            "PREFECT_PROFILES_PATH": str(home.prefect / "profiles.toml"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
            "PREFECT_CLI_PROMPT": "false",
            # Prefect keeps the exception of each failed run there, and never deletes one; each start begins tmp anew.
            "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(home.folder / "tmp" / "results"),
        }
    )
    secret = base.get("PREFECT_API_AUTH_STRING") or base.get("PREFECT_SERVER_API_AUTH_STRING")
    if not configured(base):  # the string of our own server goes to no other one
        environment.pop("PREFECT_API_KEY", None)  # of Prefect Cloud: our client would send it in place of the string
        secret = secret or home.prefect_auth_string()
    if secret:
        environment["PREFECT_API_AUTH_STRING"] = secret
    return environment


def service_environment(
    settings: Settings,
    home: Home,
    *,
    prefect_api: str,
    api_url: str,
    api_port: int,
    base: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """Return what our own processes get: the settings as they are here, and where everything listens."""
    given = {f"BOOTPRESS_{name.upper()}": _text(value) for name, value in _values(settings).items()}
    of_clients = {name: value for name, value in base.items() if not name.startswith(PREFECTS_DATABASE)}
    return (
        # Prefect's clients would ask each new server first whether it wants tokens, which ours does not.
        {"PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false"}
        | prefect_environment(home, of_clients)
        | given
        | {
            "PREFECT_API_URL": prefect_api,
            "PREFECT_WORKER_QUERY_SECONDS": base.get("PREFECT_WORKER_QUERY_SECONDS", "0.5"),
            "BOOTPRESS_PORT": str(api_port),
            "BOOTPRESS_PUBLIC_URL": settings.public_url or api_url,
        }
    )


def absolute(settings: Settings) -> Settings:
    """Return the settings with paths that mean the same in another working folder."""
    values = _values(settings)
    values["home"] = Path(os.path.realpath(settings.home.expanduser()))  # `resolve` fails where links lead in circles
    values["docker_config_folder"] = settings.docker_config_folder.expanduser().absolute()
    if settings.database_url is not None:
        values["database_url"] = SecretStr(_absolute_url(settings.database_url.get_secret_value()))
    return Settings(**values)


def without_password(url: str) -> str:
    """Return a database URL as it may be shown."""
    parsed = make_url(url)._replace(password=None)  # `set` takes None for "as it is"
    return parsed.difference_update_query(["password", "sslpassword"]).render_as_string(hide_password=False)


def _absolute_url(url: str) -> str:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return url
    return parsed.set(database=str(Path(parsed.database).absolute())).render_as_string(hide_password=False)


def _values(settings: Settings) -> dict[str, Any]:
    """Return what is set; iterating over settings would also give what they keep for themselves, keys among it."""
    values = {name: getattr(settings, name) for name in Settings.model_fields}
    return {name: value for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
