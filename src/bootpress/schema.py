"""Bring the catalog's schema to the version that this code needs."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection

from bootpress.core.catalog import Catalog

_LOCK = 0x626F6F74
"""An advisory lock of PostgreSQL, so that two starts do not migrate at once."""


def migrate(catalog: Catalog) -> None:
    """Run every version that the database lacks, in one transaction; several callers take turns."""
    with catalog.engine.begin() as connection:
        if not catalog.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(catalog: Catalog) -> bool:
    """Tell whether the database has exactly the version that this code needs."""
    with catalog.engine.connect() as connection:
        return _version(connection) == ScriptDirectory.from_config(_config()).get_current_head()


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "bootpress:migrations")
    return config
