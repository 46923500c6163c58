"""Pruning: deliveries, attempts and events go by age and number, in small transactions, and never while needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, func, insert, select, text

from bootpress.core.deliveries.models import Attempt, Delivery
from bootpress.core.errors import CatalogUnavailable
from bootpress.core.events import service as events
from bootpress.core.events.models import Event, OutboxEntry
from bootpress.core.pieces import ROWS
from bootpress.core.pruning import rules, service
from bootpress.core.publications.models import Artifact, Publication
from tests.support.build_harness import BuildHarness
from tests.support.core_harness import REPOSITORY, CoreHarness
from tests.support.retention_harness import RetentionHarness


def prune(world: CoreHarness) -> service.PruneReport:
    return service.prune(world.context, pause=lambda _: None)


def keeping(world: CoreHarness, **limits: int) -> None:
    """Let the installation have other limits."""
    world.context = replace(world.context, limits=replace(world.context.limits, **limits))


def pass_days(world: CoreHarness, days: int) -> None:
    """Let days go by, at the end of which pruning has seen the clock twice: what it says is believed, but for a day."""
    for some in (days - 1, 1):
        world.clock.advance(days=some)
        prune(world)


def failed(world: CoreHarness, count: int = 1) -> list[UUID]:
    """Announce images for a platform that nobody has; return the deliveries, which have failed."""
    found = []
    for _ in range(count):
        world.clock.advance(seconds=1)
        delivery_id = world.announce(slug="nobody", git_sha=uuid4().hex)
        assert world.process(delivery_id) == "failed"
        found.append(delivery_id)
    return found


def left(world: CoreHarness, table: Any) -> set[Any]:
    with world.catalog.read_session() as session:
        return set(session.scalars(select(table)))


def number(world: CoreHarness, table: Any) -> int:
    with world.catalog.read_session() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def copies(world: CoreHarness, delivery_id: UUID, count: int, *, attempts: int = 0) -> None:
    """Write a finished delivery many times, as a burst would; each a second before the other, with ended attempts."""
    row = world.delivery(delivery_id)
    of_delivery = {column.key: getattr(row, column.key) for column in Delivery.__table__.columns}
    with world.catalog.read_session() as session:
        attempt = session.scalars(select(Attempt).where(Attempt.delivery_id == delivery_id).limit(1)).one()
    of_attempt = {column.key: getattr(attempt, column.key) for column in Attempt.__table__.columns}
    ids = [uuid4() for _ in range(count)]
    with world.catalog.transaction() as session:
        session.execute(insert(Delivery), [{**of_delivery, "id": one} for one in ids])
        for one in ids if attempts else ():
            session.execute(
                insert(Attempt), [{**of_attempt, "id": uuid4(), "delivery_id": one} for _ in range(attempts)]
            )


@contextmanager
def rows_deleted(world: CoreHarness) -> Iterator[list[int]]:
    """Collect how many rows each transaction deletes."""
    counts = [0]

    def note(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("DELETE"):
            counts[-1] += cursor.rowcount

    def over(_connection: Any) -> None:
        counts.append(0)

    event.listen(world.catalog.engine, "after_cursor_execute", note)
    event.listen(world.catalog.engine, "commit", over)
    try:
        yield counts
    finally:
        event.remove(world.catalog.engine, "after_cursor_execute", note)
        event.remove(world.catalog.engine, "commit", over)


def test_finished_deliveries_go_with_their_attempts_and_events_when_they_are_too_old(world: CoreHarness) -> None:
    old = failed(world, 2)
    pass_days(world, 80)
    young = failed(world)
    pass_days(world, 12)
    assert left(world, Delivery.id) == {*young}
    assert left(world, Attempt.delivery_id) == {*young}
    assert not left(world, Delivery.id) & {*old}
    assert len(world.events("publish_failed")) == 3
    events.emit_pending(world.context)
    pass_days(world, 310)
    assert len(world.events("publish_failed")) == 1
    pass_days(world, 90)
    assert world.events() == []


def test_an_operator_decides_for_how_many_days(world: CoreHarness) -> None:
    keeping(world, delivery_days=3, event_days=5)
    failed(world)
    events.emit_pending(world.context)
    pass_days(world, 3)
    assert number(world, Delivery) == 1
    pass_days(world, 2)
    assert (number(world, Delivery), number(world, Event)) == (0, 1)
    pass_days(world, 2)
    assert number(world, Event) == 0


def test_a_burst_goes_by_number_the_oldest_first_and_leaves_other_webhooks_theirs(world: CoreHarness) -> None:
    keeping(world, deliveries_kept=3, events_kept=2)
    other = world.call("provision_disk_image_webhook", label="other")
    body = world.body(slug="nobody", git_sha="of another webhook")
    theirs = world.post(body, webhook_id=UUID(other["webhook_id"]), secret=other["webhook_secret"]).delivery_id
    world.process(theirs)
    world.call("system_rotate_disk_image_webhook_secret", webhook_id=other["webhook_id"])
    ours = failed(world, 6)
    events.emit_pending(world.context)
    world.clock.advance(hours=2)
    prune(world)
    assert left(world, Delivery.id) == {theirs, *ours[-3:]}
    assert [one.payload["delivery_id"] for one in world.events("publish_failed")] == [str(one) for one in ours[-2:]]
    # A flood of one kind takes no event of another kind with it.
    assert len(world.events("webhook_secret_rotated")) == 1


def test_what_ended_just_now_does_not_go_however_much_there_is(world: CoreHarness) -> None:
    keeping(world, deliveries_kept=1, events_kept=1)
    failed(world, 3)
    events.emit_pending(world.context)
    prune(world)
    assert (number(world, Delivery), number(world, Event)) == (3, 3)


def test_what_is_not_finished_stays(world: CoreHarness) -> None:
    world.platform()
    waiting, begun = world.announce(git_sha="waits"), world.announce(git_sha="begun")
    world.begin(begun)
    keeping(world, deliveries_kept=1)
    pass_days(world, 200)
    assert left(world, Delivery.id) == {waiting, begun}
    assert number(world, Attempt) == 1


def test_the_evidence_of_a_publication_stays_until_it_is_purged(world: CoreHarness) -> None:
    world.platform()
    publication_id = world.publish()
    keeping(world, deliveries_kept=1)
    pass_days(world, 200)
    attempt_id = world.publication(publication_id).current_attempt_id
    assert left(world, Attempt.id) == {attempt_id}
    assert number(world, Delivery) == 1
    with world.catalog.transaction() as session:
        session.get_one(Publication, publication_id).status = "purged"
    prune(world)
    assert (number(world, Delivery), number(world, Attempt)) == (0, 0)
    assert world.publication(publication_id).status == "purged"


def failed_digests(world: CoreHarness, count: int) -> list[UUID]:
    """Announce digests that no registry has, on a platform that there is; return the deliveries, which have failed."""
    found = []
    for _ in range(count):
        world.clock.advance(seconds=1)
        delivery_id = world.announce(ref=f"{REPOSITORY}@sha256:{uuid4().hex}{uuid4().hex}")
        assert world.process(delivery_id) == "failed"
        found.append(delivery_id)
    return found


def test_what_failed_goes_with_its_delivery_by_age_and_number(world: CoreHarness) -> None:
    world.platform()
    kept = world.publish()
    failed_digests(world, 4)
    assert len(world.publications()) == 5
    keeping(world, deliveries_kept=3)
    pass_days(world, 6)
    assert number(world, Delivery) == 5  # each may be retried, and its images are kept for that
    pass_days(world, 3)
    assert number(world, Delivery) == 4
    assert len(world.publications()) == 4
    pass_days(world, 92)
    assert [one.id for one in world.publications()] == [kept]
    assert (number(world, Delivery), number(world, Attempt)) == (1, 1)


def test_what_failed_goes_in_pieces_with_what_it_consists_of(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image(sign=False)
    assert world.process(world.announce(ref=f"{REPOSITORY}@{digest}")) == "failed"
    failed_digests(world, 2)
    [unsigned, *_] = world.publications()
    with world.catalog.transaction() as session:
        for _ in range(250):
            session.add(artifact_of(unsigned.id))
    pass_days(world, 10)
    world.clock.advance(days=92)
    with rows_deleted(world) as counts:
        pass_days(world, 2)
    assert world.publications() == []
    assert number(world, Artifact) == 0
    assert max(counts) == ROWS


def test_what_failed_and_is_announced_again_starts_over_when_it_is_forgotten(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image(sign=False)
    assert world.process(world.announce(ref=f"{REPOSITORY}@{digest}")) == "failed"
    [before] = world.publications()
    pass_days(world, 100)
    world.images.sign(digest)
    assert world.publish(digest=digest) != before.id


def test_a_failed_publication_that_is_pinned_or_was_published_once_stays(world: CoreHarness) -> None:
    world.platform()
    failed_digests(world, 2)
    once, pinned = world.publications()
    with world.catalog.transaction() as session:
        session.get_one(Publication, once.id).published_at = once.created_at
        session.get_one(Publication, pinned.id).pinned = True
    pass_days(world, 200)
    assert [one.id for one in world.publications()] == [once.id, pinned.id]


def artifact_of(publication_id: UUID) -> Artifact:
    digest = f"sha256:{uuid4().hex}{uuid4().hex}"
    return Artifact(
        id=uuid4(),
        publication_id=publication_id,
        role="layer",
        manifest_digest=digest,
        digest=digest,
        media_type="a/b",
        size_bytes=1,
    )


def test_an_attempt_that_proves_nothing_any_more_goes_and_its_publication_stays(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image(sign=False)
    delivery_id = world.announce(ref=f"127.0.0.1:5000/os/images@{digest}")
    assert world.process(delivery_id) == "failed"
    world.images.sign(digest)
    world.publish(digest=digest)
    pass_days(world, 100)
    assert delivery_id not in left(world, Delivery.id)
    assert [one.status for one in world.publications()] == ["published"]


def test_a_delivery_that_a_build_waits_for_or_has_not_reported_stays(yard: RetentionHarness) -> None:
    foundry = BuildHarness(yard)
    keeping(yard, deliveries_kept=1)
    foundry.dispatch()
    kept = failed(yard, 4)
    yard.clock.advance(hours=2)
    prune(yard)
    assert left(yard, Delivery.id) == {*kept}
    with yard.catalog.transaction() as session:
        session.execute(text("UPDATE builds SET status = 'timed_out'"))
    prune(yard)
    assert left(yard, Delivery.id) == {kept[-1]}


def test_the_callback_of_a_build_stays_until_its_run_has_said_how_it_ended(yard: RetentionHarness) -> None:
    foundry = BuildHarness(yard)
    build_id = UUID(str(foundry.dispatch()["build_id"]))
    [callback] = failed(yard)
    with yard.catalog.transaction() as session:
        session.get_one(Delivery, callback).build_id = build_id
        session.execute(text("UPDATE builds SET status = 'failed'"))
    pass_days(yard, 100)
    assert left(yard, Delivery.id) == {callback}
    with yard.catalog.transaction() as session:
        session.execute(text("UPDATE builds SET reported_at = created_at"))
    prune(yard)
    assert left(yard, Delivery.id) == set()


def test_an_event_that_listeners_have_not_been_handed_stays(world: CoreHarness) -> None:
    failed(world)
    keeping(world, events_kept=1)
    pass_days(world, 500)
    assert number(world, Event) == number(world, OutboxEntry) == 1
    events.emit_pending(world.context)
    prune(world)
    assert number(world, Event) == 0


@pytest.mark.parametrize("jump", [{"days": 3650}, {"days": 100}, {"days": -3650}])
def test_a_clock_that_is_wrong_for_some_hours_deletes_nothing(world: CoreHarness, jump: dict[str, float]) -> None:
    kept = failed(world, 5)
    events.emit_pending(world.context)
    pass_days(world, 2)
    world.clock.advance(**jump)
    for _ in range(11):
        prune(world)
        world.clock.advance(hours=1)
    world.clock.advance(**{name: -by for name, by in jump.items()})
    pass_days(world, 2)
    assert left(world, Delivery.id) == {*kept}
    assert number(world, Event) == 5
    pass_days(world, 90)  # and what was seen of the wrong clock keeps nothing for ever
    assert number(world, Delivery) == 0


def test_no_transaction_deletes_more_than_a_piece_also_of_one_delivery_with_many_attempts(world: CoreHarness) -> None:
    [one] = failed(world)
    copies(world, one, 450)
    copies(world, one, 2, attempts=450)
    events.emit_pending(world.context)
    pass_days(world, 1)
    world.clock.advance(days=100)
    prune(world)
    world.clock.advance(days=1)
    with rows_deleted(world) as counts:
        report = prune(world)
    assert (report.deliveries, report.attempts) == (453, 901)
    assert (number(world, Delivery), number(world, Attempt)) == (0, 0)
    assert max(counts) == rules.PIECE == ROWS
    assert sum(counts) == 453 + 901


def test_a_run_ends_after_its_share_and_the_next_goes_on(world: CoreHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "PIECES", 1)
    [one] = failed(world)
    copies(world, one, 450)
    pass_days(world, 1)
    world.clock.advance(days=100)
    assert not prune(world).is_cut_short
    world.clock.advance(days=1)
    counts = []
    while (report := service.prune_if_due(world.context)) is not None:
        counts.append(report.deliveries)
    assert sum(counts) == 451
    assert counts[-1] == 0
    assert service.prune_if_due(world.context) is None
    world.clock.advance(hours=1)
    assert service.prune_if_due(world.context) is not None


def test_a_run_that_dies_in_the_middle_has_done_what_it_did_and_a_repeat_ends_it(world: CoreHarness) -> None:
    [one] = failed(world)
    copies(world, one, 3, attempts=150)
    pass_days(world, 1)
    world.clock.advance(days=100)
    prune(world)
    world.clock.advance(days=1)
    pieces = iter(range(1))

    def die(_seconds: float) -> None:
        if next(pieces, None) is None:
            raise CatalogUnavailable("it died")

    with pytest.raises(CatalogUnavailable):
        service.prune(world.context, pause=die)
    assert 0 < number(world, Attempt) < 451
    with world.catalog.read_session() as session:
        query = select(func.count()).select_from(Attempt).outerjoin(Delivery, Delivery.id == Attempt.delivery_id)
        assert session.scalar(query.where(Delivery.id.is_(None))) == 0
    prune(world)
    assert (number(world, Delivery), number(world, Attempt)) == (0, 0)


def test_two_that_prune_at_once_delete_everything_once(world: CoreHarness) -> None:
    [one] = failed(world)
    copies(world, one, 600)
    pass_days(world, 1)
    world.clock.advance(days=100)
    prune(world)
    world.clock.advance(days=1)
    reports: list[service.PruneReport] = []
    threads = [threading.Thread(target=lambda: reports.append(prune(world))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    prune(world)
    assert sum(report.deliveries for report in reports) <= 601
    assert number(world, Delivery) == 0


def plans(world: CoreHarness, statements: Sequence[str]) -> list[str]:
    with world.catalog.read_session() as session:
        return ["\n".join(str(row) for row in session.execute(text(f"EXPLAIN QUERY PLAN {one}"))) for one in statements]


def test_what_goes_is_found_by_an_index(tmp_path: Any) -> None:
    world = CoreHarness(f"sqlite:///{tmp_path / 'catalog.db'}")
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        words = ("finished_at", "occurred_at", "published_sequence")
        if statement.startswith("SELECT") and any(word in statement for word in words):
            seen.append(statement)

    failed(world, 3)
    world.platform()
    failed_digests(world, 3)
    events.emit_pending(world.context)
    keeping(world, deliveries_kept=1, events_kept=1)
    pass_days(world, 9)
    world.clock.advance(hours=2)
    event.listen(world.catalog.engine, "before_cursor_execute", note)
    prune(world)
    event.remove(world.catalog.engine, "before_cursor_execute", note)
    assert len(seen) > 6
    for plan in plans(world, [one.replace("?", "NULL") for one in seen]):
        indexes = ("deliveries_by_end", "events_by_kind", "publications_by_retention", "publications_1")
        assert any(index in plan for index in indexes), plan
        assert "SCAN" not in plan.replace("SCAN CONSTANT ROW", "")
        assert "TEMP B-TREE" not in plan
    world.catalog.close()
