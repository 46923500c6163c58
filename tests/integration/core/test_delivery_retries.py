"""What is tried again, when, and until when: what was away, what crashed, what was switched off."""

from __future__ import annotations

import pytest

from bootpress.core.deliveries import attempts, rules
from bootpress.core.deliveries.models import Attempt
from bootpress.core.errors import Superseded
from bootpress.core.publications import completion, ingest
from tests.support.attempts import begin_launched
from tests.support.core_harness import CoreHarness


def test_a_registry_that_is_away_is_asked_again_with_growing_pauses_and_given_up_after_a_day(
    world: CoreHarness,
) -> None:
    world.platform()
    digest = world.images.image(tag="v1")
    delivery_id = world.announce()
    received = world.delivery(delivery_id).received_at
    pauses = []
    with world.registry_away(digest):
        while (outcome := world.process(delivery_id)) == "postponed":
            delivery = world.delivery(delivery_id)
            assert delivery.status == "processing"
            assert "does not answer" in str(delivery.error_message)
            pauses.append((delivery.next_attempt_at - world.clock.now()).total_seconds())
            world.clock.advance(seconds=pauses[-1])
    assert pauses[:8] == [15, 30, 60, 120, 240, 480, 900, 900]
    assert outcome == "failed"
    assert (world.clock.now() - received).total_seconds() == pytest.approx(24 * 3600, abs=900)
    [publication] = world.publications()
    assert (publication.status, publication.cosign_verified) == ("failed", False)
    assert "does not answer" in str(publication.error_message)
    [event] = world.events("publish_failed")
    assert event.payload["publication_id"] == str(publication.id)


def test_a_registry_that_comes_back_gets_its_image_published(world: CoreHarness) -> None:
    world.platform()
    world.images.image(tag="v1")
    delivery_id = world.announce()
    with world.registry_away("v1"):
        assert world.process(delivery_id) == "postponed"
    assert world.publications() == []
    assert world.process(delivery_id) == "published"
    assert world.delivery(delivery_id).error_message is None


def test_an_error_of_ours_postpones_and_tells_no_details(world: CoreHarness) -> None:
    world.platform()
    attempt_id = world.begin(world.announce())
    assert completion.finish_with_error(world.context, attempt_id, KeyError("secret-value")) == "postponed"
    with world.catalog.read_session() as session:
        message = str(session.get_one(Attempt, attempt_id).outcome)
    assert "KeyError" in message
    assert "secret-value" not in message


@pytest.mark.parametrize("done", range(4))
def test_after_a_crash_between_steps_the_next_attempt_goes_on(world: CoreHarness, done: int) -> None:
    world.platform()
    world.images.image(tag="v1")
    delivery_id = world.announce()
    dead = world.begin(delivery_id)
    ingest.resolve(world.context, dead)
    for step in ingest.STEPS[:done]:
        step(world.context, dead)
    world.clock.advance(seconds=31)
    assert attempts.launch_due(world.context).launched == 1
    launch = world.launcher.deliveries[-1]
    attempt_id = begin_launched(world, launch)
    assert world.work(attempt_id) == "published"
    with pytest.raises(Superseded):
        completion.publish(world.context, dead)
    assert len(world.events("published")) == 1


def test_a_delivery_whose_attempts_only_ever_die_is_given_up_and_takes_its_publication_with_it(
    world: CoreHarness,
) -> None:
    world.platform()
    world.images.image(tag="v1")
    delivery_id = world.announce()
    for _ in range(29):
        attempt_id = world.begin(delivery_id)
        ingest.resolve(world.context, attempt_id)
        world.clock.advance(minutes=50)
        attempts.renew(world.context, [attempt_id])
        world.clock.advance(seconds=31)
    assert world.process(delivery_id) == "failed"
    [publication] = world.publications()
    assert publication.status == "failed"
    assert "given up after 24 hours and 29 attempts" in str(publication.error_message)
    assert world.delivery(delivery_id).publication_id == publication.id


@pytest.mark.parametrize("tried", ["never", "died", "postponed"])
def test_after_a_weekend_switched_off_a_delivery_is_tried_before_it_is_given_up(world: CoreHarness, tried: str) -> None:
    world.platform()
    world.images.image(tag="v1")
    delivery_id = world.announce()
    match tried:
        case "never":
            attempts.launch_due(world.context)
        case "died":
            world.begin(delivery_id)
        case "postponed":
            with world.registry_away("v1"):
                assert world.process(delivery_id) == "postponed"
    world.clock.advance(hours=60)
    assert attempts.launch_due(world.context).launched == 1
    launch = world.launcher.deliveries[-1]
    attempt_id = begin_launched(world, launch)
    assert world.work(attempt_id) == "published"


def test_after_a_weekend_switched_off_the_day_of_trying_begins_anew(world: CoreHarness) -> None:
    world.platform()
    world.images.image(tag="v1")
    delivery_id = world.announce()
    with world.registry_away("v1"):
        for _ in range(8):
            world.process(delivery_id)
            world.clock.advance(minutes=15)
        world.clock.advance(hours=60)
        assert world.process(delivery_id) == "postponed"
        assert world.delivery(delivery_id).next_attempt_at - world.clock.now() == rules.FIRST_PAUSE
    assert world.process(delivery_id) == "published"


def test_launches_that_never_began_put_no_retry_off(world: CoreHarness) -> None:
    world.platform()
    delivery_id = world.announce()
    for _ in range(5):
        assert attempts.launch_due(world.context).launched == 1
        world.clock.advance(minutes=15)
    with world.registry_away("v1"):
        assert world.process(delivery_id) == "postponed"
    delivery = world.delivery(delivery_id)
    assert delivery.next_attempt_at - world.clock.now() == rules.FIRST_PAUSE
    assert delivery.attempt_count == 1


def test_retries_that_met_something_away_put_no_launch_off(world: CoreHarness) -> None:
    world.platform()
    delivery_id = world.announce()
    with world.registry_away("v1"):
        for _ in range(6):
            assert world.process(delivery_id) == "postponed"
            world.clock.advance(minutes=15)
    assert attempts.launch_due(world.context).launched == 1
    world.clock.advance(seconds=30)
    assert attempts.launch_due(world.context).launched == 1
