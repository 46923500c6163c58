"""The schema: brought up to date once, looked at by readers, and waited for at a start."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from bootpress import schema
from bootpress.core.database import Database
from bootpress.core.errors import CatalogUnavailable, Conflict
from bootpress.stack.init_tasks import migrate_when_available
from tests.support.core_harness import CoreHarness
from tests.support.postgres import Cluster


def test_a_database_is_current_after_it_was_migrated_and_not_before(database_url: str) -> None:
    catalog = Database(database_url)
    assert not schema.is_current(catalog)
    schema.migrate(catalog)
    assert schema.is_current(catalog)
    schema.migrate(catalog)
    catalog.close()


def test_looking_at_the_schema_waits_for_no_writer(tmp_path: Path) -> None:
    catalog = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    schema.migrate(catalog)
    other = sqlite3.connect(tmp_path / "catalog.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    assert schema.is_current(catalog)
    assert time.monotonic() - began < 5
    other.close()
    catalog.close()


def test_a_database_of_a_newer_version_is_left_alone(world: CoreHarness) -> None:
    with world.catalog.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="9999") as caught:
        schema.migrate(world.catalog)
    assert "newer bootpress" in str(caught.value.hint)
    assert not schema.is_current(world.catalog)


@pytest.mark.part("postgresql")
def test_a_start_waits_for_a_postgresql_that_is_away_and_says_so(
    postgres_cluster: Cluster, postgres_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = Database(postgres_database)
    with postgres_cluster.closed(postgres_database):
        starting = threading.Thread(target=migrate_when_available, args=(catalog,))
        starting.start()
        time.sleep(1.5)
        assert starting.is_alive()
    starting.join(30)
    assert schema.is_current(catalog)
    assert "waiting for the database: the database does not answer" in caplog.text
    catalog.close()


@pytest.mark.part("postgresql")
def test_a_start_gives_up_in_the_end_in_words_that_tell_no_password(
    postgres_cluster: Cluster, postgres_database: str
) -> None:
    catalog = Database(postgres_database)
    with (
        postgres_cluster.closed(postgres_database),
        pytest.raises(CatalogUnavailable, match="the database does not answer") as caught,
    ):
        migrate_when_available(catalog, seconds=0.5)
    assert caught.value.hint
    assert "Background on this error" not in str(caught.value)
    assert str(catalog.url.password) not in str(caught.value)
    catalog.close()


ACME = {"id": uuid4().hex, "at": "2025-06-01 12:00:00+00:00"}


def test_what_an_earlier_version_kept_is_there_in_the_next(database_url: str) -> None:
    catalog = Database(database_url)
    schema.migrate(catalog, to="0001")
    with catalog.schema_transaction() as connection:
        connection.execute(text("INSERT INTO accounts (id, name, created_at) VALUES (:id, 'acme', :at)"), ACME)
    schema.migrate(catalog)
    assert schema.is_current(catalog)
    with catalog.read_session() as session:
        assert session.scalars(text("SELECT name FROM accounts")).all() == ["acme"]
    catalog.close()
