"""The catalog: our database, the truth about publications. Transactions begin and end here and nowhere else.

SQLite (WAL, synchronous=FULL, BEGIN IMMEDIATE for writers: an answered 202 survives a power cut) or PostgreSQL.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, DateTime, Engine, Uuid, create_engine, event, make_url
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from bootpress.core.errors import CatalogUnavailable

SQLITE_BUSY_MS = 30_000
WRITE_LOCK_TIMEOUT = 15.0
"""How long a writer on SQLite waits for the other writers of its process, before it waits for other processes."""
CONNECT_SECONDS = 10
_SCHEMA_MISMATCH_SQLSTATES = ("42P01", "42703")  # PostgreSQL's undefined_table and undefined_column
_PERMISSION_SQLSTATE = "42501"
_CONFLICT_SQLSTATES = ("40P01", "40001")  # deadlock_detected and serialization_failure


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which knows no time zones, stores it without one."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        """Return what its values are."""
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse moments without a time zone: they would be read as UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the time zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# An absent value is NULL, not JSON's null, which `IS NULL` would not find.
Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


class Base(DeclarativeBase):
    """The root of all tables."""

    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: Json, list[str]: Json, UUID: Uuid}  # noqa: RUF012 - SQLAlchemy declares it without ClassVar


class Row(Base):
    """A table whose rows have an id of their own."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)


class Database:
    """Sessions on one database; every use case is one `with catalog.writing()`."""

    def __init__(self, url: str, *, turn_seconds: float = WRITE_LOCK_TIMEOUT) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._engine = _create_engine(url, sqlite=self.is_sqlite)
        self._readers = self._engine.execution_options(readonly=True)
        # SQLite has one writer; threads of one process that queue here are served in turn, not by chance.
        self._turn = threading.Lock() if self.is_sqlite else None
        self._turn_seconds = turn_seconds

    @property
    def engine(self) -> Engine:
        """Return the engine, for migrations and tests."""
        return self._engine

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a transaction that commits at the end of the block and rolls back if it raises."""
        with self._in_turn(), _translated(), Session(self._engine, expire_on_commit=False) as session:
            yield session
            session.commit()

    @contextmanager
    def read_session(self) -> Iterator[Session]:
        """Open a transaction that never writes."""
        with _translated(), Session(self._readers, expire_on_commit=False, autoflush=False) as session:
            yield session

    @contextmanager
    def schema_transaction(self) -> Iterator[Connection]:
        """Open a transaction on a bare connection, for what changes tables."""
        with self._in_turn(), _translated(), self._engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
            return
        if not self._turn.acquire(timeout=self._turn_seconds):
            raise CatalogUnavailable(
                f"the database is busy: others have been writing for {self._turn_seconds:.0f} s",
                hint="try again in a moment",
            )
        try:
            yield
        finally:
            self._turn.release()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except PoolTimeout as error:
        raise CatalogUnavailable("the database has no connection free", hint="try again in a moment") from error
    except DBAPIError as error:
        if _is_other_schema(error):
            raise CatalogUnavailable(
                f"the database has not the schema of this version: {_first_line(error)}",
                hint="`bootpress up` brings it up to date",
            ) from error
        if _sqlstate(error) in _CONFLICT_SQLSTATES:
            raise CatalogUnavailable(
                f"the database is busy: {_first_line(error)}", hint="try again in a moment"
            ) from error
        if not _is_outage(error):
            raise
        raise CatalogUnavailable(
            f"the database does not answer: {_first_line(error)}",
            hint="see `bootpress doctor`",
        ) from error


def _is_other_schema(error: DBAPIError) -> bool:
    said = _first_line(error)
    return _sqlstate(error) in _SCHEMA_MISMATCH_SQLSTATES or said.startswith(("no such table", "no such column"))


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)  # psycopg's; SQLite has none


def _is_outage(error: DBAPIError) -> bool:
    if error.connection_invalidated or _sqlstate(error) == _PERMISSION_SQLSTATE:
        return True
    return type(error).__name__ in {
        "OperationalError",
        "InterfaceError",
        "InternalError",
        "DatabaseError",  # SQLite's, of a file that is damaged or none of its own
    }


def _first_line(error: DBAPIError) -> str:
    return (str(error.orig).splitlines() or ["no reason given"])[0][:200]


def _create_engine(url: str, *, sqlite: bool) -> Engine:
    if not sqlite:
        bounded = {} if "connect_timeout" in make_url(url).query else {"connect_timeout": CONNECT_SECONDS}
        return create_engine(
            url,
            pool_size=20,
            max_overflow=20,
            pool_timeout=10,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args=bounded,
        )
    engine = create_engine(
        url,
        pool_size=20,
        max_overflow=30,
        pool_timeout=10,
        hide_parameters=True,
        connect_args={"timeout": SQLITE_BUSY_MS / 1000},
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # our own BEGIN, see _begin_sqlite
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={SQLITE_BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}").close()
    except BaseException:
        connection.close()  # the pool forgets a connection that it could not prepare
        raise


def _begin_sqlite(connection: Connection) -> None:
    # A writer that begins as a reader can fail to upgrade without ever waiting (SQLITE_BUSY_SNAPSHOT).
    readonly = connection.get_execution_options().get("readonly", False)
    connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")
