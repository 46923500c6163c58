"""Call operations of a running bootpress over HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from bootpress.core.errors import BootpressError, InvalidInput

LONGEST_CALL = 300.0
"""Seconds: a sweep deletes from a registry before it answers."""
MAX_ANSWER = 64 * 1024 * 1024
START = "start it with `bootpress up`; where it runs in another folder: --home, or BOOTPRESS_HOME"


class NotRunning(BootpressError):
    """Nothing answers where bootpress should."""


class ApiError(BootpressError):
    """The server answered with a problem."""


@dataclass(frozen=True, slots=True)
class ApiTarget:
    """Where to call, and with which token."""

    url: str
    token: str = field(repr=False)
    token_file: Path


def find_target(home: Path, url: str | None, token_file: Path | None) -> ApiTarget:
    """Return where bootpress runs: as given, else as the home's endpoints.json says.

    The home's admin token goes to the home's own API and nowhere else.
    """
    if url is not None:
        _check_url(url)
        url = url.rstrip("/")
    if url is not None and token_file is not None:
        return ApiTarget(url, _read_token(token_file), token_file)
    endpoints = _read_endpoints(home)
    own = str(endpoints.get("api_url", ""))
    if url not in (None, own):
        raise InvalidInput(f"no token for {url}", hint="name a file that holds one: --token-file")
    token_file = token_file or Path(str(endpoints.get("admin_token_file", "")))
    return ApiTarget(own, _read_token(token_file), token_file)


def call(target: ApiTarget, name: str, fields: Mapping[str, Any], *, key: str | None = None) -> dict[str, Any]:
    """Return an operation's answer; Refused with the server's words, or NotRunning."""
    headers = {"Authorization": f"Bearer {target.token}"} | ({"Idempotency-Key": key} if key else {})
    try:
        with httpx.Client(timeout=httpx.Timeout(LONGEST_CALL, connect=5), trust_env=not _is_local(target.url)) as http:
            answer = http.post(f"{target.url}/api/v1/operations/{name}", json=dict(fields), headers=headers)
    except httpx.ConnectError as error:
        raise NotRunning(f"nothing answers at {target.url}", hint="start it with `bootpress up`") from error
    except httpx.HTTPError as error:
        raise NotRunning(f"{target.url} did not answer as it should: {type(error).__name__}") from error
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        raise ApiError(
            f"{target.url} does not accept the token in {target.token_file}: it is unknown there, revoked or expired",
            hint="name a file with another: --token-file; create_api_token makes one",
        )
    return _read(answer)


def _read(answer: httpx.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NotRunning(f"{answer.url} answered {answer.status_code} without JSON", hint="is this bootpress's API?")
    if answer.is_success:
        return found
    hint = found.get("hint")
    raise ApiError(
        str(found.get("detail") or f"the server answered {answer.status_code}"), hint=str(hint) if hint else None
    )


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidInput(f"{url[:200]!r} is not a URL of an API", hint="write http://host:port")


def _is_local(url: str) -> bool:
    # A proxy of the environment's has no business with this machine's own servers.
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


def _read_endpoints(home: Path) -> dict[str, Any]:
    path = home / "endpoints.json"
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise NotRunning(f"bootpress does not run in {home}", hint=START) from error
    except (OSError, ValueError) as error:
        raise NotRunning(f"{path} cannot be read", hint="stop bootpress and start it again") from error
    return found if isinstance(found, dict) else {}


def _read_token(path: Path) -> str:
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"no token can be read from {path}", hint="name a file that holds one: --token-file") from (
            error
        )
    if not token.isascii() or not token.isprintable() or not token:
        raise InvalidInput(f"{path} holds no token", hint="it must hold one line: the token")
    return token
