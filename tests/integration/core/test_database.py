"""The catalog itself: durability, writers in turn, moments in UTC, and outages that are called outages."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import IntegrityError, StatementError

from bootpress.core.accounts.models import Account, ApiToken
from bootpress.core.database import Database
from bootpress.core.errors import CatalogUnavailable
from bootpress.core.models import metadata
from bootpress.core.publications.models import Publication
from tests.support import postgres
from tests.support.core_harness import CoreHarness

MOMENT = datetime(2025, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def catalog(database_url: str) -> Iterator[Database]:
    catalog = Database(database_url)
    metadata.create_all(catalog.engine)
    yield catalog
    catalog.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    catalog = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    metadata.create_all(catalog.engine)
    yield catalog
    catalog.close()


def account(name: str, created_at: datetime = MOMENT) -> Account:
    return Account(id=uuid4(), name=name, created_at=created_at)


def test_sqlite_writes_ahead_and_waits_for_the_disk(sqlite: Database) -> None:
    for opened in (sqlite.transaction, sqlite.read_session):
        with opened() as session:
            found = {
                name: session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
            }
        assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_writer_on_sqlite_holds_the_lock_from_its_first_statement(sqlite: Database) -> None:
    other = sqlite3.connect(str(sqlite.url.database), timeout=0, isolation_level=None)
    with sqlite.transaction() as session:
        session.execute(select(Account))
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    with sqlite.read_session() as session:
        session.execute(select(Account))
        other.execute("BEGIN IMMEDIATE")
    other.close()


def test_a_use_case_that_raises_leaves_nothing_behind(catalog: Database) -> None:
    with pytest.raises(ZeroDivisionError), catalog.transaction() as session:  # noqa: PT012 - a use case that gets halfway
        session.add(account("a"))
        session.flush()
        _ = 1 / 0
    with catalog.read_session() as session:
        assert session.scalars(select(Account)).all() == []


def test_a_unique_row_that_is_there_already_is_no_outage(catalog: Database) -> None:
    with catalog.transaction() as session:
        session.add(account("a"))
    with pytest.raises(IntegrityError), catalog.transaction() as session:
        session.add(account("a"))


def test_many_writers_at_once_lose_nothing(catalog: Database) -> None:
    gate = threading.Barrier(16)

    def write(number: int) -> None:
        gate.wait()
        for part in range(5):
            with catalog.transaction() as session:
                session.add(account(f"{number}-{part}"))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(16)))
    with catalog.read_session() as session:
        assert len(session.scalars(select(Account)).all()) == 80


def test_a_writer_on_sqlite_waits_for_its_turn_and_not_for_ever(tmp_path: Path) -> None:
    catalog = Database(f"sqlite:///{tmp_path / 'catalog.db'}", turn_seconds=0.2)
    metadata.create_all(catalog.engine)
    began = time.monotonic()
    with catalog.transaction() as session:
        session.add(account("a"))
        with ThreadPoolExecutor(8) as pool:
            refused = [pool.submit(_write_nothing, catalog) for _ in range(8)]
        assert {type(one.exception()) for one in refused} == {CatalogUnavailable}
        assert time.monotonic() - began < 5
        with catalog.read_session() as reader:
            assert reader.scalars(select(Account)).all() == []
    _write_nothing(catalog)
    catalog.close()


def _write_nothing(catalog: Database) -> None:
    with catalog.transaction():
        pass


def test_a_table_that_is_missing_is_another_schema(catalog: Database) -> None:
    with catalog.engine.begin() as connection:
        connection.execute(text("ALTER TABLE api_tokens RENAME TO elsewhere"))
    for opened in (catalog.transaction, catalog.read_session):
        with pytest.raises(CatalogUnavailable, match="not the schema of this version") as caught, opened() as session:
            session.scalars(select(ApiToken)).all()
        assert "bootpress up" in str(caught.value.hint)
        assert "Background on this error" not in str(caught.value)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moment=st.datetimes(
        min_value=datetime(1900, 1, 2),  # noqa: DTZ001 - the strategy adds the time zones
        timezones=st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
        max_value=datetime(9999, 1, 1),  # noqa: DTZ001 - the strategy adds the time zones
    )
)
def test_a_moment_comes_back_as_the_same_one_in_utc(catalog: Database, moment: datetime) -> None:
    row = account(str(uuid4()), moment)
    with catalog.transaction() as session:
        session.add(row)
    with catalog.read_session() as session:
        found = session.get_one(Account, row.id).created_at
        same = session.scalar(select(Account.name).where(Account.id == row.id, Account.created_at == moment))
    assert (found, found.tzinfo, same) == (moment, UTC, row.name)


def test_a_moment_without_a_time_zone_is_refused(catalog: Database) -> None:
    with pytest.raises(StatementError, match="has no time zone"), catalog.transaction() as session:
        session.add(account("a", datetime(2025, 6, 1)))  # noqa: DTZ001 - the case


def test_an_absent_json_value_is_null_to_sql(world: CoreHarness) -> None:
    world.platform()
    publication_id = world.publish()
    with world.catalog.transaction() as session:
        session.execute(update(Publication).values(signer=None))
        session.get_one(Publication, publication_id).sbom = None
    with world.catalog.read_session() as session:
        query = select(Publication.id).where(Publication.signer.is_(None), Publication.sbom.is_(None))
        assert session.scalars(query).all() == [publication_id]


def test_a_locked_sqlite_file_is_an_outage(tmp_path: Path) -> None:
    catalog = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    event.listen(catalog.engine, "connect", _wait_briefly)
    metadata.create_all(catalog.engine)
    other = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CatalogUnavailable, match="locked") as caught, catalog.transaction() as session:
        session.add(account("a"))
    assert caught.value.retryable
    other.execute("ROLLBACK")
    with catalog.transaction() as session:
        session.add(account("a"))
    other.close()
    catalog.close()


def test_a_sqlite_file_in_a_folder_that_is_gone_is_an_outage(tmp_path: Path) -> None:
    catalog = Database(f"sqlite:///{tmp_path / 'gone' / 'catalog.db'}")
    with pytest.raises(CatalogUnavailable, match="unable to open"), catalog.read_session() as session:
        session.scalars(select(Account)).all()
    catalog.close()


def test_a_sqlite_file_that_may_not_be_written_is_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    catalog = Database(f"sqlite:///{path}")
    metadata.create_all(catalog.engine)
    catalog.close()
    catalog = Database(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(CatalogUnavailable, match="readonly"), catalog.transaction() as session:
        session.add(account("a"))
    catalog.close()


def test_a_file_that_is_no_database_is_an_outage(tmp_path: Path) -> None:
    path = tmp_path / "catalog.db"
    path.write_bytes(b"no database " * 100)
    catalog = Database(f"sqlite:///{path}")
    with pytest.raises(CatalogUnavailable, match="not a database"), catalog.read_session() as session:
        session.scalars(select(Account)).all()
    catalog.close()


@pytest.mark.part("postgresql")
def test_postgresql_that_stops_is_an_outage_which_tells_no_password() -> None:
    with postgres.cluster() as running:
        url = running.create_database()
        catalog = Database(url)
        metadata.create_all(catalog.engine)
        with catalog.transaction() as session:
            session.add(account("a"))
    for opened in (catalog.transaction, catalog.read_session):
        with pytest.raises(CatalogUnavailable, match="does not answer") as caught, opened() as session:
            session.scalars(select(Account)).all()
        assert str(catalog.url.password) not in str(caught.value)
    catalog.close()


@pytest.mark.part("postgresql")
def test_two_that_wait_for_each_other_are_told_that_the_database_is_busy(postgres_database: str) -> None:
    catalog = Database(postgres_database)
    metadata.create_all(catalog.engine)
    rows = [account("a"), account("b")]
    with catalog.transaction() as session:
        session.add_all(rows)
    gate = threading.Barrier(2, timeout=20)

    def lock(ids: list[UUID]) -> None:
        with catalog.transaction() as session:
            session.get_one(Account, ids[0], with_for_update=True)
            gate.wait()
            session.get_one(Account, ids[1], with_for_update=True)

    ids = [row.id for row in rows]
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(lock, order) for order in (ids, ids[::-1])]
    [refused] = [one.exception() for one in both if one.exception() is not None]
    assert isinstance(refused, CatalogUnavailable)
    assert "the database is busy: deadlock detected" in refused.message
    assert refused.hint == "try again in a moment"
    catalog.close()


def test_the_bell_says_that_the_catalog_is_away(tmp_path: Path) -> None:
    world = CoreHarness(f"sqlite:///{tmp_path / 'catalog.db'}")
    world.catalog.close()
    event.listen(world.catalog.engine, "connect", _wait_briefly)
    other = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(CatalogUnavailable):
        world.post(world.body())
    other.execute("ROLLBACK")
    assert not world.post(world.body()).duplicate
    other.close()
    world.catalog.close()


def _wait_briefly(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA busy_timeout=50").close()
