"""Databases with the current schema: migrated once in a process, then copied."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from sqlalchemy import make_url

from bootpress import schema
from bootpress.core.database import Database


def open_catalog(url: str) -> Database:
    """Open a database that has the current schema; a SQLite file that is not there is made."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        file = Path(str(parsed.database))
        if not file.exists():
            file.write_bytes(_template())
    return Database(url)


def migrate(url: str) -> str:
    """Give an empty database the current schema; return its URL."""
    catalog = Database(url)
    schema.migrate(catalog)
    catalog.close()
    return url


@cache
def _template() -> bytes:
    with tempfile.TemporaryDirectory(prefix="bootpress-template-") as folder:
        file = Path(folder) / "catalog.db"
        migrate(f"sqlite:///{file}")
        return file.read_bytes()
