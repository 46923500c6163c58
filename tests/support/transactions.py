"""How many rows each transaction of a catalog changes, counted where its statements are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection

from bootpress.core.database import Database


class Counted:
    """The rows of each transaction that was committed, in order; those that changed nothing are left out."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self._open: dict[Connection, int] = {}

    @property
    def most(self) -> int:
        """Return the rows of the largest."""
        return max(self.rows, default=0)

    def executed(
        self,
        connection: Connection,
        cursor: Any,
        _statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,  # noqa: FBT001 - SQLAlchemy passes it by position
    ) -> None:
        """Count what a statement inserted, changed or deleted."""
        if context.isinsert or context.isupdate or context.isdelete:
            rows = cursor.rowcount if cursor.rowcount >= 0 else len(parameters) if executemany else 1
            self._open[connection] = self._open.get(connection, 0) + rows

    def ended(self, connection: Connection) -> None:
        """Note a commit."""
        rows = self._open.pop(connection, 0)
        self.rows += [rows] * (rows > 0)

    def undone(self, connection: Connection) -> None:
        """Forget what was rolled back."""
        self._open.pop(connection, None)


@contextmanager
def counted(catalog: Database) -> Iterator[Counted]:
    """Count the rows of transactions within the block."""
    found = Counted()
    listeners = (("after_cursor_execute", found.executed), ("commit", found.ended), ("rollback", found.undone))
    for name, listener in listeners:
        event.listen(catalog.engine, name, listener)
    try:
        yield found
    finally:
        for name, listener in listeners:
            event.remove(catalog.engine, name, listener)
