"""Bulk changes in pieces: no transaction grows with the data, and other writers get their turn between two pieces."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, delete, select, update

from bootpress.core.database import Database, Row

ROWS = 100
"""Rows that one transaction inserts, changes and deletes at most, where their number grows with the data."""
PAUSE_SECONDS = 0.05
"""Between two pieces on SQLite, whose other writers look every 50 ms in their first quarter of a second."""
T = TypeVar("T")


def in_pieces(catalog: Database, items: Sequence[T], *, size: int = ROWS) -> Iterator[Sequence[T]]:
    """Yield items in pieces, each for a transaction of its own; pause between them."""
    for first in range(0, len(items), size):
        if first:
            pause(catalog)
        yield items[first : first + size]


def pause(catalog: Database) -> None:
    """Let writers of other processes in; PostgreSQL has more than one at a time."""
    if catalog.is_sqlite:
        time.sleep(PAUSE_SECONDS)


def delete_in_pieces(catalog: Database, table: type[Row], *conditions: ColumnElement[bool]) -> int:
    """Delete the rows that the conditions hold for, each judged in the transaction that deletes it; return how many.

    Rows that somebody else has locked are left alone.
    """
    return _execute(catalog, table, conditions, None)


def update_in_pieces(
    catalog: Database, table: type[Row], *conditions: ColumnElement[bool], values: dict[str, Any]
) -> int:
    """Change rows as `delete_in_pieces` deletes them; the change must end that the conditions hold."""
    return _execute(catalog, table, conditions, values)


def _execute(
    catalog: Database, table: type[Row], conditions: Sequence[ColumnElement[bool]], values: dict[str, Any] | None
) -> int:
    total, query = 0, select(table.id).where(*conditions).order_by(table.id).limit(ROWS)
    while True:
        with catalog.read_session() as session:  # where there is nothing to do, no writer waits
            if session.scalar(query.limit(1)) is None:
                return total
        with catalog.transaction() as session:
            chosen = table.id.in_(ids := session.scalars(query.with_for_update(skip_locked=True)).all())
            change = delete(table).where(chosen) if values is None else update(table).where(chosen).values(values)
            session.execute(change)
        total += len(ids)
        if len(ids) < ROWS:
            return total
        pause(catalog)
