"""A sweep that retires ten thousand publications, beside a bare writer of another process on the same SQLite file."""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from benchmarks.table import Measured, at_most, seconds
from bootpress.core.database import Database
from bootpress.core.publications.models import Publication
from bootpress.core.retention.service import retire
from tests.support.processes import Program
from tests.support.retention_harness import RetentionHarness

COUNT = 10_000
BAR = 0.5
EVERY = 0.02
"""Seconds that the bare writer rests between two writes."""


def measure(folder: Path) -> list[Measured]:
    """Sweep once; return how long the longest transaction of the sweep was, and what the other writer waited."""
    database = folder / "catalog.db"
    yard = RetentionHarness(f"sqlite:///{database}")
    _fill(yard)
    timed = Timed(f"sqlite:///{database}")
    with _bare_writer(folder, database) as waits:
        begun = time.perf_counter()
        retired, _ = retire(replace(yard.context, catalog=timed), yard.edge, actor="bench")
        spent = time.perf_counter() - begun
    for catalog in (yard.catalog, timed):
        catalog.close()
    taken = timed.taken
    if len(retired) != COUNT:
        raise AssertionError(f"{len(retired)} publications were retired, not {COUNT}")
    waited = [float(line) for line in waits.read_text().split()]
    return [
        Measured(
            f"a sweep that retires {COUNT} publications, its longest write transaction on SQLite",
            seconds(max(taken)),
            f"{seconds(max(waited))}: the longest wait of a bare writer in {len(waited)} writes",
            f"{seconds(spent)} in all",
            at_most(BAR, " s"),
            max(taken),
        ),
        Measured("… typically", seconds(statistics.median(taken)), seconds(statistics.median(waited))),
    ]


def _fill(yard: RetentionHarness) -> None:
    first = yard.publish()
    with yard.catalog.transaction() as session:
        row = session.execute(select(Publication.__table__).where(Publication.id == first)).mappings().one()
        rows = [
            {
                **row,
                "id": uuid4(),
                "oci_digest": f"sha256:{number:064x}",
                "published_at": yard.clock.now() - timedelta(minutes=number + 1),
            }
            for number in range(COUNT)
        ]
        session.execute(insert(Publication), rows)


class Timed(Database):
    """A catalog that notes how long each transaction held the writer's place: from its BEGIN to its COMMIT."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.taken: list[float] = []

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a transaction that is timed."""
        with super().transaction() as session:
            session.connection()  # which waits for its turn
            begun = time.perf_counter()
            yield session
        self.taken.append(time.perf_counter() - begun)


@contextmanager
def _bare_writer(folder: Path, database: Path) -> Iterator[Path]:
    """Run a process that writes a row again and again, and notes how long it waited for its turn each time."""
    waits = folder / "waits"
    words = [sys.executable, "-m", "benchmarks.sweeps", str(database), str(waits)]
    with Program(words, log=folder / "writer.log", env=dict(os.environ)) as writer:
        writer.wait_until(waits.exists, what="it writes")
        yield waits


def write(database: str, waits: str) -> None:
    """Write until the process is ended: BEGIN IMMEDIATE, one row, COMMIT, as durable as the catalog's own."""
    connection = sqlite3.connect(database, isolation_level=None, timeout=60)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE bare (written REAL)")
    with Path(waits).open("w", buffering=1) as noted:
        while True:
            begun = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            waited = time.perf_counter() - begun
            connection.execute("INSERT INTO bare VALUES (?)", (waited,))
            connection.execute("COMMIT")
            noted.write(f"{waited}\n")
            time.sleep(EVERY)


if __name__ == "__main__":
    write(*sys.argv[1:])
