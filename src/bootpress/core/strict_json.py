"""JSON from outsiders: bounded, and refused with a reason rather than guessed at."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

from bootpress.core.errors import InvalidInput

MAX_MARKS = 250_000
"""Brackets, commas and colons of one text; an index of a thousand descriptors has a tenth of it. Without a bound, a few
MiB of nothing but structure take thirty times as much as values, and seconds to read."""

MAX_DEPTH = 200
"""Lists and objects within one another; SBOMs have twenty. Go reads 10,000, Python what its stack leaves room for."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def count_structural_tokens(raw: bytes) -> int:
    """Count what may be structure, without reading the text: brackets, commas and colons."""
    return sum(raw.count(mark) for mark in (b"{", b"[", b",", b":"))


def parse(raw: bytes, *, what: str, max_marks: int = MAX_MARKS) -> Any:
    """Read JSON (RFC 8259) from UTF-8 bytes; InvalidInput for anything else.

    Refused too: keys that are there twice, NaN and numbers that would become infinite, text that cannot be stored,
    nesting beyond MAX_DEPTH, and more than `max_marks` parts. The caller bounds the size before it reads.
    """
    if count_structural_tokens(raw) > max_marks:
        raise InvalidInput(f"{what} has more than {max_marks} brackets, commas and colons")
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_refuse_repeats,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if _SURROGATE.search(raw):
            # An escape can spell half of a surrogate pair, which no database stores: UnicodeEncodeError.
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise InvalidInput(f"{what} is nested too deeply") from error
    except ValueError as error:
        raise InvalidInput(f"{what} is not JSON: {str(error)[:200]}") from error
    if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_deep(value):
        raise InvalidInput(f"{what} is nested too deeply: in more than {MAX_DEPTH} lists and objects")
    return value


def parse_object(raw: bytes, *, what: str) -> dict[str, Any]:
    """Read a JSON object as `parse` does; InvalidInput for anything else."""
    value = parse(raw, what=what)
    if not isinstance(value, dict):
        raise InvalidInput(f"{what} is a JSON {type(value).__name__}, not an object")
    return value


def _is_deep(value: Any) -> bool:
    """Tell whether lists and objects are nested in more than MAX_DEPTH levels."""
    level = [value]
    for _ in range(MAX_DEPTH):
        members = (inner for each in level for inner in (each.values() if isinstance(each, dict) else each))
        level = [each for each in members if isinstance(each, dict | list)]
        if not level:
            return False
    return True


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is too large")
    return value


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers of one text may each believe another of the values.
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice[:100]!r} is there twice")
    return value
