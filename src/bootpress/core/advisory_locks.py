"""Locks on names, for what has no row of its own to lock: held from here to the end of the running transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def acquire(session: Session, names: Iterable[str]) -> None:
    """Wait until nobody else holds any of these names; what was committed under them before is seen afterwards.

    SQLite has one writer, so there a writing transaction holds every name from its beginning.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    keys = {int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True) for name in names}
    for key in sorted(keys):  # in one order for all, or two would wait for each other
        session.execute(select(func.pg_advisory_xact_lock(key)))
