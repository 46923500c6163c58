"""A purge and an ingest of the same content at once: what was published is there."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bootpress.core import advisory_locks
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.ports import DeleteResult
from bootpress.core.publications import ingest
from bootpress.core.publications.acquire import lock_manifests
from bootpress.core.retention.purge import purge
from tests.support.core_harness import REPOSITORY, repository_of
from tests.support.retention_harness import RetentionHarness


def test_a_child_that_is_purged_while_its_index_is_read_is_missed_before_anything_is_published(
    yard: RetentionHarness,
) -> None:
    child = yard.images.image()
    first = yard.due(child)
    index = yard.images.index({"amd64": child})
    purged: list[str | None] = []
    yard.registry.before[child] = lambda: purged.append(purge(yard.context, first, actor="test"))
    delivery_id = yard.announce(ref=f"{REPOSITORY}@{index}")
    assert yard.process(delivery_id) == "failed"
    assert purged == [None]
    assert "is not there" in str(yard.delivery(delivery_id).error_message)


def test_a_child_that_is_purged_later_is_kept_for_its_index(yard: RetentionHarness) -> None:
    child = yard.images.image()
    first = yard.due(child)
    attempt_id = yard.begin(yard.announce(ref=f"{REPOSITORY}@{yard.images.index({'amd64': child})}"))
    ingest.resolve(yard.context, attempt_id)
    ingest.read_manifest(yard.context, attempt_id)
    assert purge(yard.context, first, actor="test") is None
    assert yard.has(child) == [True]
    ingest.verify_blobs(yard.context, attempt_id)


@pytest.mark.parametrize("part", ["image", "child"])
def test_what_may_be_deleted_at_any_moment_is_not_taken_for_there(yard: RetentionHarness, part: str) -> None:
    digest = yard.images.image()
    yard.due(digest)
    yard.registry.answers["*"] = None
    with pytest.raises(RegistryUnavailable):
        yard.sweep()
    assert yard.steps()[digest] == "deleting"
    yard.platform("other")
    announced = digest if part == "image" else yard.images.index({"amd64": digest})
    delivery_id = yard.announce(slug="other", ref=f"{REPOSITORY}@{announced}")
    assert yard.process(delivery_id) == "postponed"
    assert "is being deleted from the registry" in str(yard.delivery(delivery_id).error_message)
    # The registry says at last that it did not.
    yard.registry.answers["*"] = DeleteResult.REFUSED
    assert len(yard.sweep()["kept"]) == 1
    assert yard.process(delivery_id) == "published"


def test_a_plan_that_was_not_begun_hinders_nobody_and_leaves_what_was_claimed_meanwhile(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.due(digest)
    yard.platform("other")
    attempt_id = yard.begin(yard.announce(slug="other", ref=f"{REPOSITORY}@{digest}"))
    # Announced to another platform when the plan is made: every step is kept, and the digest is free.
    yard.registry.before["list"] = lambda: ingest.resolve(yard.context, attempt_id)
    yard.registry.answers["*"] = None
    assert purge(yard.context, first, actor="test") is None
    assert yard.registry.asked == []
    assert yard.work(attempt_id) == "published"


def test_a_step_that_was_kept_hinders_nobody(yard: RetentionHarness) -> None:
    child = yard.images.image(sign=False)
    digest = yard.images.index({"amd64": child})
    yard.retire(digest)
    yard.publish(digest=yard.images.index({"amd64": child}))
    yard.clock.advance(days=7)
    [signature] = [one.digest for one in yard.registry.list_referrers(repository_of(), digest)]
    yard.registry.answers = {signature: None}
    with pytest.raises(RegistryUnavailable):
        yard.sweep()
    assert yard.steps() == {
        digest: "deleted",
        child: "kept",
        signature: "deleting",
        **dict.fromkeys(list(yard.steps())[3:], "pending"),
    }
    with yard.catalog.transaction() as session:
        lock_manifests(session, repository_of(), [child])
        lock_manifests(session, repository_of("127.0.0.1:5000/os/elsewhere"), [digest])
        with pytest.raises(RegistryUnavailable):  # what refers to it is being deleted
            lock_manifests(session, repository_of(), [digest])


def test_a_purge_waits_for_a_claim_that_is_not_committed_yet(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.due(digest)
    yard.platform("other")
    attempt_id = yard.begin(yard.announce(slug="other", ref=f"{REPOSITORY}@{digest}"))
    planned, claimed = threading.Event(), threading.Event()

    def wait_for_the_claim() -> None:
        planned.set()
        assert claimed.wait(20)

    yard.registry.before["list"] = wait_for_the_claim
    with ThreadPoolExecutor(1) as pool:
        purging = pool.submit(purge, yard.context, first, actor="test")
        assert planned.wait(20)
        with yard.catalog.transaction() as session:
            lock_manifests(session, repository_of(), [digest])
            claimed.set()
            # It can decide nothing while this transaction is open.
            with pytest.raises(TimeoutError):
                purging.result(timeout=1)
            assert yard.registry.asked == []
        assert purging.result(20) is None
    assert yard.has(digest) == [False]
    assert yard.work(attempt_id) == "failed"


def test_transactions_that_hold_one_name_are_one_after_the_other(yard: RetentionHarness) -> None:
    order: list[str] = []
    held = threading.Event()

    def second() -> None:
        held.wait(20)
        with yard.catalog.transaction() as session:
            advisory_locks.acquire(session, ["b", "a"])
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second)
        with yard.catalog.transaction() as session:
            advisory_locks.acquire(session, ["a", "c"])
            held.set()
            with pytest.raises(TimeoutError):
                waiting.result(timeout=1)
            order.append("first")
        waiting.result(20)
    assert order == ["first", "second"]
