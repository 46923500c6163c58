"""Listings in pages (keyset pagination): a cursor says where the last page ended, so that inserts move no row."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Select, bindparam, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from bootpress.core.database import Base
from bootpress.core.errors import InvalidInput
from bootpress.core.texts import reject_unstorable_text

R = TypeVar("R", bound=Base)
V = TypeVar("V")
Key = Sequence[InstrumentedAttribute[Any]]
"""The columns that rows are ordered by: together unique, and without `|` in their values."""

_WIDEST: Final = 1 << 63
_PORTION: Final = 8
"""How many heavy rows are in memory beyond those of the page."""


def page(
    session: Session,
    query: Select[tuple[R]],
    *,
    by: Key,
    limit: int,
    cursor: str | None,
    newest_first: bool = True,
    weigh: Callable[[R], int] | None = None,
    most: int = 0,
) -> tuple[list[R], str | None]:
    """Return one page of `query` ordered by a key, and the cursor of the next page; InvalidInput for a bad cursor.

    A page ends before the rows that `weigh` counts for more than `most` bytes together, and has one row at least.
    """
    if cursor is not None:
        query = query.where(_behind(cursor, by, newest_first=newest_first))
    query = query.order_by(*(one.desc() if newest_first else one.asc() for one in by)).limit(limit + 1)
    if weigh is not None:
        query = query.execution_options(yield_per=_PORTION)
    with closing(session.scalars(query)) as found:
        rows, has_more = _take(found, limit, weigh or (lambda _: 0), most)
    return rows, _encode([getattr(rows[-1], one.key) for one in by]) if has_more else None


def page_of(
    rows: Sequence[V], *, by: Callable[[V], tuple[str, ...]], limit: int, cursor: str | None
) -> tuple[list[V], str | None]:
    """Return one page of rows that are in memory, ordered by a key of texts, and the cursor of the next page."""
    after = tuple(_decode(cursor)) if cursor is not None else ()
    left = [row for row in sorted(rows, key=by) if by(row) > after]
    return left[:limit], _encode(by(left[limit - 1])) if len(left) > limit else None


def _take(found: Iterable[R], limit: int, weigh: Callable[[R], int], most: int) -> tuple[list[R], bool]:
    rows: list[R] = []
    weight = 0
    for row in found:
        weight += weigh(row)
        if len(rows) == limit or (rows and weight > most):
            return rows, True
        rows.append(row)
    return rows, False


def _encode(values: Iterable[Any]) -> str:
    told = (one.isoformat() if isinstance(one, datetime) else str(one) for one in values)
    return base64.urlsafe_b64encode("|".join(told).encode()).decode()


def _decode(cursor: str) -> list[str]:
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
        reject_unstorable_text(text)
    except (ValueError, binascii.Error) as error:
        raise _refusal() from error
    return text.split("|")


def _behind(cursor: str, by: Key, *, newest_first: bool) -> ColumnElement[bool]:
    values = _decode(cursor)
    try:
        typed = [_typed(value, one.type) for value, one in zip(values, by, strict=True)]
    except (ValueError, OverflowError) as error:
        raise _refusal() from error
    key, last = tuple_(*by), tuple_(*typed)
    return key < last if newest_first else key > last


def _typed(text: str, column_type: Any) -> ColumnElement[Any]:
    kind = column_type.python_type
    if kind is datetime:
        return bindparam(None, datetime.fromisoformat(text).astimezone(UTC), type_=column_type)
    value = kind(text)
    if isinstance(value, int) and not -_WIDEST <= value < _WIDEST:
        raise OverflowError("no database keeps such a number")
    return bindparam(None, value, type_=column_type)


def _refusal() -> InvalidInput:
    return InvalidInput("the cursor is not one of ours", hint="use next_cursor of the page before", field="cursor")
