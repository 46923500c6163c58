"""Errors as the outside sees them: the one place that gives each class of `core.errors` an HTTP status (RFC 9457)."""

from __future__ import annotations

import dataclasses
import http
import json
import logging
import math
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from bootpress.core import errors

MEDIA_TYPE = "application/problem+json"
MAX_TEXT = 2_000
RETRY_AFTER = 5.0
"""Seconds to come back after, where nobody said so."""
STATUSES: tuple[tuple[type[errors.BootpressError], int], ...] = (
    (errors.InvalidInput, 422),
    (errors.Rejected, 422),
    (errors.Unauthenticated, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.RateLimited, 429),
    (errors.Unsupported, 501),
    (errors.Refused, 502),
    (errors.Unavailable, 503),
)
"""The first class that an error is an instance of counts."""
logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Problem(Exception):
    """An error answer; raised for what only HTTP knows (sizes, types, paths)."""

    status: int
    name: str
    title: str
    detail: str
    hint: str | None = None
    field: str | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """Return the members of the problem document; texts are bounded, since they repeat what a caller sent."""
        members = {
            "type": f"urn:bootpress:problem:{self.name}",
            "title": self.title,
            "status": self.status,
            "detail": _shown(self.detail),
        }
        if self.hint:
            members["hint"] = _shown(self.hint)
        if self.field:
            members["field"] = _shown(self.field)
        return members

    def response(self) -> Response:
        """Return the answer."""
        return Response(
            json.dumps(self.body(), ensure_ascii=False),
            self.status,
            {"Cache-Control": "no-store", **self.headers},
            MEDIA_TYPE,
        )


def to_problem(error: errors.BootpressError) -> Problem:
    """Return how an error of ours is answered."""
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 500)
    return Problem(
        status,
        _kebab(type(error).__name__),
        http.HTTPStatus(status).phrase,
        error.message,
        error.hint,
        error.field if isinstance(error, errors.InvalidInput) else None,
        _headers(error),
    )


def install(app: FastAPI) -> None:
    """Make the error answers of an app problem documents (`Measuring` sees to those that nobody expected)."""
    app.add_exception_handler(errors.BootpressError, _ours)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _of_http)


def with_bearer_challenge(error: errors.Unauthenticated) -> Problem:
    """Return the answer to a call without a good token, which says how to send one (RFC 6750, 3)."""
    return dataclasses.replace(to_problem(error), headers={"WWW-Authenticate": "Bearer"})


def internal_error(error: Exception) -> Problem:
    """Log a defect and return its answer; neither repeats its words, which may hold anything."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("a request failed with %s:\n%s", type(error).__name__, frames)
    detail, hint = "something failed that should not", "the log of the API says where"
    return Problem(500, "internal", "Internal Server Error", detail, hint)


def malformed_body(error: errors.InvalidInput) -> Problem:
    """Return the answer to a body that is no JSON object."""
    return Problem(400, "bad-request", "Bad Request", error.message, error.hint)


def _headers(error: errors.BootpressError) -> dict[str, str]:
    match error:
        case errors.RateLimited():
            return {"Retry-After": _seconds(error.retry_after)}
        case errors.Unavailable():
            return {"Retry-After": _seconds(error.retry_after or RETRY_AFTER)}
    return {}


def _seconds(wait: float) -> str:
    return str(max(1, math.ceil(wait)))


def _ours(_: Request, error: Exception) -> Response:
    if not isinstance(error, errors.BootpressError):
        raise error
    return to_problem(error).response()


def _problem(_: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    return error.response()


def _of_http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    phrase = http.HTTPStatus(error.status_code).phrase
    detail = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.url.path} does not answer {request.method}",
    }.get(error.status_code, error.detail)
    hint = "the console is at /app; GET /api/v1/operations lists the operations" if error.status_code == 404 else None  # noqa: PLR2004 - a status
    name = phrase.lower().replace(" ", "-")
    return Problem(error.status_code, name, phrase, detail, hint, headers=error.headers or {}).response()


def _shown(text: str) -> str:
    # A lone surrogate, which JSON can spell, has no UTF-8.
    return text[:MAX_TEXT].encode("utf-8", "replace").decode()


def _kebab(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
