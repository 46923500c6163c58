"""Listings in pages: newest first, with a cursor that says where the last page ended."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from bootpress.core.catalog import Row
from bootpress.core.errors import InvalidInput

R = TypeVar("R", bound=Row)


def page(
    session: Session,
    query: Select[tuple[R]],
    *,
    moment: InstrumentedAttribute[datetime],
    row_id: InstrumentedAttribute[UUID],
    limit: int,
    cursor: str | None,
) -> tuple[list[R], str | None]:
    """Return one page of `query`, newest first by `moment`, and the cursor of the next; InvalidInput for a bad one."""
    if cursor is not None:
        query = query.where(_behind(cursor, moment, row_id))
    rows = list(session.scalars(query.order_by(moment.desc(), row_id.desc()).limit(limit + 1)))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], _encode(getattr(last, moment.key), last.id)


def _encode(moment: datetime, row_id: UUID) -> str:
    return base64.urlsafe_b64encode(f"{moment.isoformat()}|{row_id}".encode()).decode()


def _behind(cursor: str, moment: Any, row_id: Any) -> ColumnElement[bool]:
    try:
        text, _, last = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
        at = datetime.fromisoformat(text).astimezone(UTC)
        return tuple_(moment, row_id) < tuple_(*_typed(at, UUID(last), moment, row_id))
    except (ValueError, OverflowError, binascii.Error) as error:
        raise InvalidInput(
            "the cursor is not one of ours", hint="use next_cursor of the page before", field="cursor"
        ) from error


def _typed(at: datetime, last: UUID, moment: Any, row_id: Any) -> tuple[Any, Any]:
    return bindparam(None, at, type_=moment.type), bindparam(None, last, type_=row_id.type)
