"""JSON from outsiders: bounded, and refused with a reason rather than guessed at."""

from __future__ import annotations

import json
from typing import Any

from bootpress.core.errors import InvalidInput


def parse_object(raw: bytes, *, what: str) -> dict[str, Any]:
    """Read a JSON object from UTF-8 bytes; InvalidInput for anything else, NaN and too deep nesting included.

    The caller bounds the size before it reads.
    """
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise InvalidInput(f"{what} is nested too deeply") from error
    except ValueError as error:
        raise InvalidInput(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} is a JSON {type(value).__name__}, not an object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
