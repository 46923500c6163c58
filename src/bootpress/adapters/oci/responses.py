"""What a registry answered, and when to ask again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus

import httpx

from bootpress.adapters.oci.limits import Limits
from bootpress.core.errors import (
    ContentRejected,
    InvalidInput,
    RegistryFailing,
    RegistryUnavailable,
    RegistryUnreachable,
)
from bootpress.core.strict_json import parse
from bootpress.http_client.clock import Clock
from bootpress.http_client.retry import RetryPolicy, read_retry_after

MAX_ERROR_BODY = 16 * 1024
_CODE = re.compile(r"[A-Z][A-Z_]{0,63}")
_LENGTH = re.compile(r"[0-9]{1,18}", re.ASCII)


class RetryableFailure(Exception):
    """Another try may help: the connection broke, or the server says that it is busy or broken."""

    def __init__(
        self, reason: str, *, retry_after: float | None = None, is_outage: bool = False, is_answer: bool = True
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.is_outage = is_outage
        """The host itself fails: a time-out, a broken connection, 5xx; not one content, and no request to slow down."""
        self.is_answer = is_answer
        """False when no response came at all."""


class TooLarge(Exception):
    """A body goes on beyond the limit that it was read with."""


@dataclass(frozen=True, slots=True)
class RegistryResponse:
    """A response that was read whole; the body of an error is cut."""

    status: int
    headers: httpx.Headers
    body: bytes
    url: httpx.URL

    @property
    def content_type(self) -> str | None:
        """Return the media type of the body, lower-case and without parameters."""
        text = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return text or None

    @property
    def error_code(self) -> str | None:
        """Return the first error code (distribution-spec, "Error codes").

        The message beside it is not used: it is the registry's to write, and may repeat what we sent.
        """
        try:
            code = json.loads(self.body)["errors"][0]["code"]
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
        return code if isinstance(code, str) and _CODE.fullmatch(code) else None

    def __str__(self) -> str:
        """Return status and error code."""
        return f"{self.status} {self.error_code}" if self.error_code else str(self.status)


def read_answer(response: httpx.Response, limit: int, *, is_json: bool = False) -> RegistryResponse:
    """Read a response of at most `limit` bytes, an error of whatever size.

    Raises TooLarge, httpx.TransportError, and Transient for a good answer that should be JSON, is none, and whose
    length nobody stated: it ended with its connection, which may as well have broken off (RFC 9112, 8).
    """
    succeeded = response.is_success
    refuse_encoding(response)
    limit = limit if succeeded else MAX_ERROR_BODY
    length = 0 if response.request.method == "HEAD" else content_length(response.headers)
    if succeeded and length is not None and length > limit:
        raise TooLarge
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > limit:
            if succeeded:
                raise TooLarge
            break
    if is_json and succeeded and not _is_framed(response) and not _is_json(body):
        raise RetryableFailure(f"it broke off after {len(body)} bytes, or is no JSON")
    return RegistryResponse(response.status_code, response.headers, bytes(body[:limit]), response.request.url)


def _is_framed(response: httpx.Response) -> bool:
    return "content-length" in response.headers or "transfer-encoding" in response.headers


def _is_json(body: bytearray) -> bool:
    """Tell whether a body is whole JSON; what is refused for another reason counts as whole: its reader says more."""
    try:
        parse(bytes(body), what="it")
    except InvalidInput as error:
        return not isinstance(error.__cause__, json.JSONDecodeError | UnicodeDecodeError)
    return True


def refuse_encoding(response: httpx.Response) -> None:
    """Raise RegistryUnavailable for compressed content: we asked for the bytes themselves, and would hash others."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if response.is_success and encoding not in {"identity", ""}:
        raise RegistryUnavailable(
            f"{response.request.url.host} sends content encoded as {encoding[:40]!r}, though identity was asked for",
            hint="turn off compression in the registry or in the proxy before it",
        )


def content_length(headers: httpx.Headers) -> int | None:
    """Return the Content-Length, or None where the server states none that can be read."""
    text = headers.get("content-length", "")
    return int(text) if _LENGTH.fullmatch(text) else None


def raise_if_retryable(response: httpx.Response, timing: Clock) -> None:
    """Raise Transient for 429 and 5xx; 501 says that it will never be otherwise."""
    status = response.status_code
    busy = status == HTTPStatus.TOO_MANY_REQUESTS
    if busy or (response.is_server_error and status != HTTPStatus.NOT_IMPLEMENTED):
        asked = read_retry_after(response.headers.get("retry-after"), timing.now())
        raise RetryableFailure(f"answers {status}", retry_after=asked, is_outage=not busy)


class RegistryRetryPolicy:
    """Retry policy of one registry call: the last failure becomes an error of the registry."""

    def __init__(self, limits: Limits, clock: Clock, *, deadline: float, tries: int | None = None) -> None:
        self._policy = RetryPolicy(limits, clock, deadline=deadline, tries=tries)
        self.start_over = self._policy.start_over

    @property
    def deadline(self) -> float:
        """Return the moment by which the call has to end."""
        return self._policy.deadline

    def wait(self, failure: RetryableFailure, *, what: str) -> None:
        """Wait before the next try; RegistryUnavailable where there is to be none, RegistryFailing of an outage."""
        if not self._policy.wait(failure.retry_after):
            asked = self._policy.bounded(failure.retry_after)
            raise _error_of(failure)(f"{what}: {failure.reason}", retry_after=asked) from failure


def _error_of(failure: RetryableFailure) -> type[RegistryUnavailable]:
    if not failure.is_answer:
        return RegistryUnreachable
    return RegistryFailing if failure.is_outage else RegistryUnavailable


def missing_content_error(what: str) -> ContentRejected:
    """Say that content which something names by digest is gone."""
    return ContentRejected(f"{what} is not in the registry", hint="push the artifact again, whole")
