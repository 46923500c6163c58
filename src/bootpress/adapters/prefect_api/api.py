"""Prefect's REST API over plain HTTP: bounded in time and number, synchronous, and light to import.

Prefect's own client repeats a failed call for minutes and takes a second to import; the doors of the API need
neither. On SQLite Prefect answers 503 and stalls under bursts, so few calls are under way at once.
"""

from __future__ import annotations

import base64
import os
import random
import threading
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, Self
from urllib.parse import urlsplit

import httpx

from bootpress.core.errors import OrchestratorUnavailable

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 5.0
CALL_SECONDS: Final = 10.0
MIN_SECONDS: Final = 0.05
"""What a call that waited long for its place is still given."""
IN_FLIGHT: Final = 8
FIRST_PAUSE_SECONDS: Final = 0.05
LAST_PAUSE_SECONDS: Final = 1.0

_BUSY: Final = frozenset({408, 429, 500, 502, 503, 504})
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class PrefectRequestError(OrchestratorUnavailable):
    """Prefect answered, and said no; `status` is its HTTP status."""

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class PrefectNotFound(PrefectRequestError):
    """Prefect has no such thing (404)."""


class PrefectApi:
    """One Prefect server; shared by threads. Constructing it does no I/O.

    Every call ends within `call_seconds`, waiting for a free place included, and raises OrchestratorUnavailable.
    """

    def __init__(
        self,
        url: str,
        *,
        auth_string: str | None = None,
        api_key: str | None = None,
        in_flight: int = IN_FLIGHT,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self.url = url.rstrip("/")
        self._call_seconds = call_seconds
        self._places = threading.BoundedSemaphore(in_flight)
        self._http = httpx.Client(
            headers=_authorization(auth_string, api_key),
            limits=httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight),
            trust_env=urlsplit(url).hostname not in _LOOPBACK,  # a proxy of the environment is not for this machine
        )

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str] = os.environ,
        *,
        in_flight: int = IN_FLIGHT,
        call_seconds: float = CALL_SECONDS,
    ) -> Self:
        """Read Prefect's own variables: PREFECT_API_URL, PREFECT_API_AUTH_STRING, PREFECT_API_KEY."""
        url = environment.get("PREFECT_API_URL")
        if not url:
            raise OrchestratorUnavailable("PREFECT_API_URL is not set", hint="set it to Prefect's API: http://…/api")
        return cls(
            url,
            auth_string=environment.get("PREFECT_API_AUTH_STRING"),
            api_key=environment.get("PREFECT_API_KEY"),
            in_flight=in_flight,
            call_seconds=call_seconds,
        )

    def get(self, path: str) -> Any:
        """Read something; NotThere if it does not exist."""
        return self._call("GET", path, None)

    def post(self, path: str, body: object) -> Any:
        """Post a JSON body that may arrive twice: the answer to the first try may be what was lost."""
        return self._call("POST", path, body)

    def patch(self, path: str, body: object) -> Any:
        """Change something to given values, which may be done twice."""
        return self._call("PATCH", path, body)

    def delete(self, path: str) -> None:
        """Delete something; NotThere if it does not exist, or no longer."""
        self._call("DELETE", path, None)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _call(self, method: str, path: str, body: object) -> Any:
        deadline = time.monotonic() + self._call_seconds
        if not self._places.acquire(timeout=self._call_seconds):
            raise OrchestratorUnavailable(f"Prefect is busy: {method} {path} found no free place", retry_after=5)
        try:
            return self._call_until(deadline, method, path, body)
        finally:
            self._places.release()

    def _call_until(self, deadline: float, method: str, path: str, body: object) -> Any:
        for pause in _pauses():
            try:
                return self._call_once(deadline, method, path, body)
            except (PrefectRequestError, _Away):
                raise
            except OrchestratorUnavailable:
                if time.monotonic() + pause > deadline:
                    raise
            time.sleep(pause)
        raise AssertionError("unreachable: the pauses have no end")

    def _call_once(self, deadline: float, method: str, path: str, body: object) -> Any:
        left = max(deadline - time.monotonic(), MIN_SECONDS)
        timeout = httpx.Timeout(min(READ_SECONDS, left), connect=min(CONNECT_SECONDS, left))
        try:
            response = self._http.request(method, self.url + path, json=body, timeout=timeout)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Away(f"Prefect cannot be reached at {self.url}", hint="is its server running?") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise OrchestratorUnavailable(
                f"Prefect did not answer {method} {path}: {type(error).__name__}", retry_after=5
            ) from error
        return _read(response, f"{method} {path}")


class _Away(OrchestratorUnavailable):
    """Nothing listens: another try at once would find the same."""


def _pauses() -> Iterator[float]:
    """Yield how long to wait after each failed try: soon at first, since SQLite is free again after milliseconds."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311 - spreads calls that failed together
        pause = min(pause * 2, LAST_PAUSE_SECONDS)


def _authorization(auth_string: str | None, api_key: str | None) -> dict[str, str]:
    if api_key:
        return {"Authorization": f"Bearer {api_key}"}
    if auth_string:
        return {"Authorization": "Basic " + base64.b64encode(auth_string.encode()).decode()}
    return {}


def _read(response: httpx.Response, call: str) -> Any:
    """Return the answer's JSON; a refusal's body is never quoted, because it may echo secrets of the request."""
    status = response.status_code
    if status in _BUSY:
        raise OrchestratorUnavailable(f"Prefect answered {call} with {status}", retry_after=5)
    if status == HTTPStatus.NOT_FOUND:
        raise PrefectNotFound(f"Prefect has nothing at {call}", status=status)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise PrefectRequestError("Prefect refuses our credential", status=status, hint="set PREFECT_API_AUTH_STRING")
    if not response.is_success:
        raise PrefectRequestError(f"Prefect refused {call} with {status}", status=status)
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError as error:
        raise OrchestratorUnavailable(f"what answers {call} is not Prefect's API") from error
