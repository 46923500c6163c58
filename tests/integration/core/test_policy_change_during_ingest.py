"""What a platform demands may change while an image is verified: what is published holds under what holds then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.core.errors import Conflict
from bootpress.core.publications import completion, ingest
from tests.support.core_harness import HOST, REPOSITORY, CoreHarness

CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "trust": lambda: {"trust": {"mode": "keys", "public_keys": [SigningKey.create().public_pem]}},
    "arch": lambda: {"arch": "arm64"},
    "repository": lambda: {"oci_repository": f"{HOST}/os/elsewhere"},
}


def run(world: CoreHarness, attempt_id: UUID, first: int = 0, end: int = 3) -> None:
    for step in ingest.STEPS[first:end]:
        step(world.context, attempt_id)


@pytest.mark.parametrize(
    ("change", "done"), [("trust", 2), ("trust", 3), ("arch", 1), ("arch", 3), ("repository", 0), ("repository", 3)]
)
def test_terms_that_change_between_two_steps_publish_nothing(world: CoreHarness, change: str, done: int) -> None:
    platform_id = world.platform()
    world.images.image(tag="v1")
    delivery_id = world.announce()
    attempt_id = world.begin(delivery_id)
    ingest.resolve(world.context, attempt_id)
    run(world, attempt_id, 0, done)
    world.call("system_update_node_platform", id="edge", **CHANGES[change]())
    run(world, attempt_id, done)
    with pytest.raises(Conflict) as refusal:
        completion.publish(world.context, attempt_id)
    assert completion.finish_with_error(world.context, attempt_id, refusal.value) == "postponed"
    assert "was changed while the image was verified" in str(world.delivery(delivery_id).error_message)
    assert world.publications()[0].status == "verifying"
    assert world.find_platform(platform_id).default_publication_id is None
    # The next attempt is judged by what holds now.
    assert world.process(delivery_id) == ("published" if change == "arch" else "failed")
    assert world.publications()[0].arch == ("arm64" if change == "arch" else None)


def test_trust_that_is_changed_for_one_step_and_back_publishes_nothing(world: CoreHarness) -> None:
    world.platform()
    foreign = SigningKey.create()
    digest = world.images.image(tag="v1", sign=False)
    world.images.sign(digest, foreign)
    attempt_id = world.begin(world.announce())
    ingest.resolve(world.context, attempt_id)
    run(world, attempt_id, 0, 1)
    world.call("system_update_node_platform", id="edge", trust={"mode": "keys", "public_keys": [foreign.public_pem]})
    run(world, attempt_id, 1, 2)
    world.call("system_update_node_platform", id="edge", trust=world.images.trust)
    run(world, attempt_id, 2)
    with pytest.raises(Conflict, match="was changed while the image was verified"):
        completion.publish(world.context, attempt_id)


def test_other_fields_of_a_platform_may_change_meanwhile(world: CoreHarness) -> None:
    world.platform()
    world.images.image(tag="v1")
    attempt_id = world.begin(world.announce())
    ingest.resolve(world.context, attempt_id)
    run(world, attempt_id)
    world.call("system_update_node_platform", id="edge", name="Edge", retention_count=9)
    completion.publish(world.context, attempt_id)
    assert world.publications()[0].status == "published"


def test_a_slug_that_becomes_another_platforms_lends_it_no_trust(world: CoreHarness) -> None:
    mistrusting = world.platform(trust=CHANGES["trust"]()["trust"])
    digest = world.images.image(tag="v1")
    delivery_id = world.announce()
    attempt_id = world.begin(delivery_id)
    ingest.resolve(world.context, attempt_id)
    world.call("system_update_node_platform", id=str(mistrusting), slug="edge-old")
    trusting = world.platform("edge")
    assert world.work(attempt_id) == "failed"
    [publication] = world.publications()
    assert (publication.node_platform_id, publication.status) == (mistrusting, "failed")
    assert world.find_platform(mistrusting).default_publication_id is None
    assert world.find_platform(mistrusting).disk_image_publication_status == "failed"
    assert world.find_platform(trusting).disk_image_publication_status is None
    # Announced anew, the name is the other platform's.
    assert world.process(world.announce(ref=f"{REPOSITORY}@{digest}")) == "published"
    assert world.find_platform(trusting).disk_image_oci_ref == f"{REPOSITORY}@{digest}"


def test_a_second_attempt_is_for_the_platform_of_the_first(world: CoreHarness) -> None:
    platform_id = world.platform()
    digest = world.images.image(tag="v1")
    delivery_id = world.announce()
    with world.registry_away(digest):
        assert world.process(delivery_id) == "postponed"
    world.call("system_update_node_platform", id=str(platform_id), slug="edge-old")
    world.platform("edge")
    assert world.process(delivery_id) == "published"
    assert [row.node_platform_id for row in world.publications()] == [platform_id]


def test_a_retry_is_for_the_publications_own_platform_whatever_it_is_called(world: CoreHarness) -> None:
    platform_id = world.platform()
    digest = world.images.image(sign=False)
    assert world.process(world.announce(ref=f"{REPOSITORY}@{digest}")) == "failed"
    [publication] = world.publications()
    world.images.sign(digest)
    answer = world.call("system_retry_disk_image_publication", publication_id=str(publication.id))
    world.call("system_update_node_platform", id=str(platform_id), slug="edge-old")
    world.platform("edge")
    [launch] = world.launcher.deliveries
    world.clock.advance(minutes=2)
    assert world.process(UUID(answer["delivery_id"])) == "published"
    assert launch.delivery_id == UUID(answer["delivery_id"])
    assert [row.node_platform_id for row in world.publications()] == [platform_id]
    assert world.publication(publication.id).status == "published"
