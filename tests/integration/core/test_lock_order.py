"""Who changes a publication and who moves its platform wait in one order, so never for each other."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, func, select

from bootpress.core.errors import Conflict, SignatureRejected
from bootpress.core.publications import completion, ingest
from bootpress.core.publications.models import Publication
from bootpress.core.retention import steps
from bootpress.core.retention.deletion_plan import PlannedDeletion
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.service import retire
from tests.support.core_harness import REPOSITORY
from tests.support.retention_harness import RetentionHarness

pytestmark = pytest.mark.part("postgresql")
PAUSE = 0.7


@pytest.fixture
def yard(postgres_catalog: str) -> Iterator[RetentionHarness]:
    """Return a world on PostgreSQL, which locks rows; SQLite has one writer."""
    yard = RetentionHarness(postgres_catalog)
    yield yard
    yard.catalog.close()


@contextmanager
def pausing(yard: RetentionHarness) -> Iterator[threading.Event]:
    """Let the first who locks a publication rest behind its lock; the event says that it does."""
    rests = threading.Event()

    def rest(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM publications" in statement and "FOR UPDATE" in statement and not rests.is_set():
            rests.set()
            time.sleep(PAUSE)

    event.listen(yard.catalog.engine, "after_cursor_execute", rest)
    try:
        yield rests
    finally:
        event.remove(yard.catalog.engine, "after_cursor_execute", rest)


def move_default(yard: RetentionHarness, publication_id: UUID) -> None:
    with contextlib.suppress(Conflict):  # not published, or not any more
        yard.make_default(publication_id)


def sweep(yard: RetentionHarness, _publication_id: UUID) -> None:
    retire(yard.context, yard.edge, actor="test")


def reannouncing(yard: RetentionHarness) -> tuple[UUID, Callable[[], object]]:
    digest = yard.images.image()
    first = yard.publish(digest=digest)
    yard.make_default(yard.publish())
    attempt_id = yard.begin(yard.announce(ref=f"{REPOSITORY}@{digest}"))
    return first, lambda: ingest.resolve(yard.context, attempt_id)


def claiming(yard: RetentionHarness) -> tuple[UUID, Callable[[], object]]:
    yard.publish()
    delivery_id = yard.announce(ref=f"{REPOSITORY}@{yard.images.image(sign=False)}")
    assert yard.process(delivery_id) == "failed"
    failed = yard.publications()[-1]
    attempt_id = yard.begin(yard.announce(ref=f"{REPOSITORY}@{failed.oci_digest}"))
    return failed.id, lambda: ingest.resolve(yard.context, attempt_id)


def at_the_end(yard: RetentionHarness) -> tuple[UUID, UUID]:
    """Verify an image, and neither publish nor fail it; return the publication and the attempt."""
    yard.publish()
    attempt_id = yard.begin(yard.announce(ref=f"{REPOSITORY}@{yard.images.image()}"))
    ingest.resolve(yard.context, attempt_id)
    for step in ingest.STEPS:
        step(yard.context, attempt_id)
    return next(one.id for one in yard.publications() if one.status == "verifying"), attempt_id


def publishing(yard: RetentionHarness) -> tuple[UUID, Callable[[], object]]:
    publication_id, attempt_id = at_the_end(yard)
    return publication_id, lambda: completion.publish(yard.context, attempt_id)


def failing(yard: RetentionHarness) -> tuple[UUID, Callable[[], object]]:
    publication_id, attempt_id = at_the_end(yard)
    return publication_id, lambda: completion.finish_with_error(
        yard.context, attempt_id, SignatureRejected("it is not signed")
    )


def retrying(yard: RetentionHarness) -> tuple[UUID, Callable[[], object]]:
    failed, _ = claiming(yard)
    return failed, lambda: yard.call("system_retry_disk_image_publication", publication_id=str(failed))


@pytest.mark.parametrize(
    ("change", "other"),
    [
        (reannouncing, move_default),
        (reannouncing, sweep),
        (claiming, move_default),
        (publishing, move_default),
        (failing, move_default),
        (retrying, move_default),
    ],
)
def test_a_change_and_a_move_at_once_never_lock_each_other_out(
    yard: RetentionHarness,
    change: Callable[[RetentionHarness], tuple[UUID, Callable[[], object]]],
    other: Callable[[RetentionHarness, UUID], None],
) -> None:
    publication_id, go = change(yard)
    with pausing(yard) as rests, ThreadPoolExecutor(2) as pool:
        first = pool.submit(go)
        assert rests.wait(20)
        second = pool.submit(other, yard, publication_id)
        outcomes: list[BaseException | None] = [first.exception(20), second.exception(20)]
    assert outcomes == [None, None]


@contextmanager
def two_sweeps(yard: RetentionHarness) -> Iterator[threading.Event]:
    """Have a plan's writer wait behind its first piece, until who clears old plans has deleted that and rests."""
    written, deleted = threading.Event(), threading.Event()
    inserted = threading.local()

    def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO deletion_steps"):
            inserted.by_me = True
        if statement.startswith("DELETE FROM deletion_steps"):
            deleted.set()
            time.sleep(PAUSE)

    def begin(_connection: Any) -> None:
        if getattr(inserted, "by_me", False) and not written.is_set():
            written.set()
            assert deleted.wait(20)

    listeners: list[tuple[str, Callable[..., None]]] = [("after_cursor_execute", look), ("begin", begin)]
    for name, listener in listeners:
        event.listen(yard.catalog.engine, name, listener)
    try:
        yield written
    finally:
        for name, listener in listeners:
            event.remove(yard.catalog.engine, name, listener)


def test_a_plan_that_another_sweep_clears_while_it_is_written_does_not_count(yard: RetentionHarness) -> None:
    first = yard.due(yard.images.image())
    planned = [PlannedDeletion(f"sha256:{number:064x}", "referrer", "sha256:00") for number in range(150)]
    with two_sweeps(yard) as written, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(steps.write, yard.context, first, planned)
        assert written.wait(20)
        steps.clear(yard.context, first)
        assert writing.result(20) is steps.Written.BUSY
    with yard.catalog.read_session() as session:
        assert session.get_one(Publication, first).purge_begun_at is None
    assert steps.write(yard.context, first, planned) is steps.Written.ALL
    with yard.catalog.read_session() as session:
        assert session.scalar(select(func.count()).select_from(DeletionStep)) == len(planned)
