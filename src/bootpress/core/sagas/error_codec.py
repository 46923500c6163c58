"""Errors that cross from a flow to the operation that waits for it: described in a row, and raised again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bootpress.core import errors
from bootpress.core.errors import BootpressError, OrchestratorUnavailable

MAX_TEXT = 2000


def serialize_error(error: BaseException) -> dict[str, Any]:
    """Return an error as JSON values; the words of one that is not ours are left out, since they may hold anything."""
    if isinstance(error, BootpressError):
        told = {
            "class": type(error).__name__,
            "message": error.message[:MAX_TEXT],
            "hint": error.hint and error.hint[:MAX_TEXT],
            "field": getattr(error, "field", None),
            "retry_after": getattr(error, "retry_after", None),
        }
        return {name: value for name, value in told.items() if value is not None}
    if not isinstance(error, Exception):  # cancelled, or told to stop
        ended = OrchestratorUnavailable("the run was ended before it was done", hint="call again")
        return serialize_error(ended)
    return {
        "class": BootpressError.__name__,
        "message": f"something failed that should not: {type(error).__name__}",
        "hint": "the flow run in Prefect says where",
    }


def deserialize_error(told: Mapping[str, Any]) -> BootpressError:
    """Return the error that was described."""
    kind = getattr(errors, str(told.get("class")), BootpressError)
    if not (isinstance(kind, type) and issubclass(kind, BootpressError)):
        kind = BootpressError
    error = kind.__new__(kind)
    BootpressError.__init__(error, str(told.get("message", "no reason was recorded")), hint=told.get("hint"))
    if issubclass(kind, errors.InvalidInput):
        vars(error)["field"] = told.get("field")
    if issubclass(kind, errors.Unavailable):
        vars(error)["retry_after"] = told.get("retry_after")
    if issubclass(kind, errors.RateLimited):
        vars(error)["retry_after"] = told.get("retry_after") or 1.0
    return error
