"""Bring the catalog's schema to the version that this code needs."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.engine import Connection

from bootpress.core.database import Database
from bootpress.core.errors import Conflict

_LOCK = 0x626F6F74
"""An advisory lock of PostgreSQL, so that two starts do not migrate at once."""


def migrate(catalog: Database, *, to: str = "head") -> None:
    """Run every version up to `to` that the database lacks, in one transaction; several callers take turns.

    Raises CatalogUnavailable, and Conflict when the database belongs to a version that this code does not know.
    """
    with catalog.schema_transaction() as connection:
        if not catalog.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = _config()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, to)
        except CommandError as error:
            raise Conflict(
                f"the database cannot be brought up to date: {error}",
                hint="it may belong to a newer bootpress: run that one, or restore a backup of before",
            ) from error


def is_current(catalog: Database) -> bool:
    """Tell whether the database has exactly the version that this code needs."""
    with catalog.read_session() as session:
        return _version(session.connection()) == ScriptDirectory.from_config(_config()).get_current_head()


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "bootpress:migrations")
    return config
