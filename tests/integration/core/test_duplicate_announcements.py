"""One digest, announced more than once: it is one publication, settled once or verified again in place."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from bootpress.core.errors import Superseded
from bootpress.core.publications import completion, ingest
from bootpress.core.publications.models import Publication
from tests.support.attempts import begin_launched, prove
from tests.support.core_harness import REPOSITORY, CoreHarness


@pytest.mark.parametrize("status", ["published", "retired", "revoked"])
def test_announced_again_nothing_changes_but_an_event_says_so(world: CoreHarness, status: str) -> None:
    platform_id = world.platform()
    digest = world.images.image()
    publication_id = world.publish(digest=digest)
    with world.catalog.transaction() as session:
        session.get_one(Publication, publication_id).status = status
    before = world.publication(publication_id)
    delivery_id = world.announce(ref=f"{REPOSITORY}@{digest}", git_sha="another")
    assert world.process(delivery_id) == "nothing to do"
    after = world.publication(publication_id)
    assert (after.status, after.git_sha, after.published_at) == (before.status, before.git_sha, before.published_at)
    assert world.delivery(delivery_id).status == "done"
    assert world.delivery(delivery_id).publication_id == publication_id
    [event] = world.events("reannounced")
    assert event.payload["status"] == status
    assert world.find_platform(platform_id).disk_image_publication_status == "published"


def test_a_failed_publication_is_tried_again_in_place(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image(sign=False)
    delivery_id = world.announce(ref=f"{REPOSITORY}@{digest}")
    assert world.process(delivery_id) == "failed"
    publication_id = world.delivery(delivery_id).publication_id
    world.images.sign(digest)
    answer = world.call(
        "system_retry_disk_image_publication", publication_id=str(publication_id), reason="signed by hand"
    )
    [launch] = world.launcher.deliveries
    assert str(launch.delivery_id) == answer["delivery_id"]
    attempt_id = begin_launched(world, launch)
    assert world.work(attempt_id) == "published"
    publication = world.publication(publication_id)
    assert (publication.status, publication.attempt_count, publication.error_message) == ("published", 2, None)
    assert publication.cosign_verified


def test_a_purged_publication_is_verified_again_in_place(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image()
    publication_id = world.publish(digest=digest)
    with world.catalog.transaction() as session:
        row = session.get_one(Publication, publication_id)
        row.status, row.retired_at, row.purged_at = "purged", world.clock.now(), world.clock.now()
    world.clock.advance(hours=1)
    assert world.publish(digest=digest) == publication_id
    row = world.publication(publication_id)
    assert (row.status, row.retired_at, row.purged_at) == ("published", None, None)
    assert row.published_at == world.clock.now()


def test_two_deliveries_of_one_digest_make_one_publication(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image(tag="v1")
    first, second = world.announce(), world.announce(ref=f"{REPOSITORY}@{digest}")
    attempt_id = world.begin(first)
    ingest.resolve(world.context, attempt_id)
    assert world.process(second) == "postponed"
    assert "is being verified for another delivery" in str(world.delivery(second).error_message)
    for step in ingest.STEPS:
        step(world.context, attempt_id)
    completion.publish(world.context, attempt_id)
    assert world.process(second) == "nothing to do"
    assert len(world.publications()) == len(world.events("published")) == 1


def test_a_delivery_whose_publication_another_took_over_finds_it_published(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image(tag="v1")
    first, second = world.announce(), world.announce(ref=f"{REPOSITORY}@{digest}")
    slow = world.begin(first)
    prove(world, slow)
    world.clock.advance(seconds=31)
    assert world.process(second) == "published"
    with pytest.raises(Superseded) as refusal:
        completion.publish(world.context, slow)
    completion.finish_with_error(world.context, slow, refusal.value)
    assert world.process(first) == "nothing to do"
    assert world.delivery(first).status == "done"
    assert len(world.events("published")) == 1


def test_two_deliveries_of_one_new_digest_at_once_are_published_once(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image(tag="v1")
    ids = [world.announce(git_sha=str(number), oci_digest=digest) for number in range(6)]
    gate = threading.Barrier(6)

    def process(delivery_id: UUID) -> str:
        gate.wait()
        return world.process(delivery_id)

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(process, ids))
    assert set(outcomes) <= {"published", "nothing to do", "postponed"}
    assert outcomes.count("published") == 1
    messages = [world.delivery(one).error_message for one in ids]
    assert not [message for message in messages if message and "internal error" in message]
    for delivery_id, outcome in zip(ids, outcomes, strict=True):
        if outcome == "postponed":
            assert world.process(delivery_id) == "nothing to do"
    assert len(world.events("published")) == 1
    assert {world.delivery(one).status for one in ids} == {"done"}
