"""An orchestrator that stays away: a day of it fails what waited, and less of it nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from bootpress.core.context import Limits
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.models import Attempt
from bootpress.core.deliveries.orchestrator_outage import OutageTimer
from bootpress.core.errors import OrchestratorUnavailable
from tests.support.core_harness import CoreHarness
from tests.support.fakes import FakeLauncher

HOUR = 3600.0
AWAY = OrchestratorUnavailable("nothing listens", hint="is its server running?")


class Watching:
    """An outage as a process sees that tries once an hour: its own clock stands while it does not run."""

    def __init__(self, world: CoreHarness) -> None:
        self.ran = 1000.0
        self.world = world
        self.outage = OutageTimer(world.context, monotonic=lambda: self.ran)

    def hours(self, count: int) -> int:
        failed = 0
        for _ in range(count):
            failed += self.outage.record_failure(AWAY)
            self.ran += HOUR
            self.world.clock.advance(hours=1)
        return failed


@pytest.fixture
def watching(world: CoreHarness) -> Watching:
    world.platform()
    world.images.image(tag="v1")
    return Watching(world)


def test_what_nothing_took_for_a_day_is_failed_with_the_reason_and_an_event(
    world: CoreHarness, watching: Watching
) -> None:
    platform_id = world.platform("other")
    delivery_id, of_nobody = world.announce(slug="other"), world.announce(slug="nobody")
    assert watching.hours(24) == 0
    late = world.announce(slug="other", git_sha="late")
    assert watching.hours(1) == 2
    delivery = world.delivery(delivery_id)
    assert (delivery.status, delivery.finished_at is not None) == ("failed", True)
    assert "for 24 hours Prefect took no delivery; the last reason: nothing listens" in str(delivery.error_message)
    assert world.delivery(of_nobody).status == "failed"
    assert world.delivery(late).status == "received"
    assert world.find_platform(platform_id).disk_image_publication_status == "failed"
    event = next(one for one in world.events("publish_failed") if one.payload["delivery_id"] == str(delivery_id))
    assert (event.payload["publication_id"], event.payload["platform_slug"]) == (None, "other")
    assert attempts.launch_due(world.context).launched == 1


def test_the_same_body_is_a_new_delivery_afterwards(world: CoreHarness, watching: Watching) -> None:
    delivery_id = world.announce()
    watching.hours(25)
    again = world.announce()
    assert again != delivery_id
    assert world.process(again) == "published"


def test_a_publication_that_was_begun_fails_with_its_delivery(world: CoreHarness, watching: Watching) -> None:
    digest = world.images.image(tag="v1")
    delivery_id = world.announce()
    with world.registry_away(digest):
        assert world.process(delivery_id) == "postponed"
    watching.hours(25)
    [publication] = world.publications()
    assert (publication.status, publication.cosign_verified) == ("failed", False)
    assert world.delivery(delivery_id).status == "failed"


def test_an_orchestrator_that_answered_in_between_was_not_away_for_a_day(
    world: CoreHarness, watching: Watching
) -> None:
    delivery_id = world.announce()
    assert watching.hours(20) == 0
    watching.outage.reset()
    assert watching.hours(24) == 0
    assert world.process(delivery_id) == "published"


@pytest.mark.parametrize("limits", [Limits(), Limits(launches_in_flight=0, batch_size=1)], ids=["single", "batches"])
def test_an_orchestrator_that_takes_some_and_then_fails_is_not_away(
    world: CoreHarness, watching: Watching, limits: Limits
) -> None:
    class Partly(FakeLauncher):
        """Takes one run of each relay, and fails at the next."""

        def answer(self) -> None:
            if self.asked % 2 == 0:
                raise OrchestratorUnavailable("busy")

    launcher = Partly()
    context = replace(world.context, launcher=launcher, limits=limits)
    ids = [world.announce(git_sha=str(number)) for number in range(3)]
    for _ in range(26):
        with pytest.raises(OrchestratorUnavailable) as caught:
            attempts.launch_due(context, on_launch=watching.outage.reset)
        assert watching.outage.record_failure(caught.value) == 0
        watching.ran += HOUR
        world.clock.advance(hours=1)
    assert launcher.asked == 52
    assert {world.delivery(one).status for one in ids} == {"received"}


def test_a_machine_that_slept_did_not_try(world: CoreHarness, watching: Watching) -> None:
    delivery_id = world.announce()
    assert watching.hours(2) == 0
    world.clock.advance(hours=60)
    assert watching.hours(2) == 0
    assert world.delivery(delivery_id).status == "received"


def test_what_is_being_worked_on_is_left_alone(world: CoreHarness, watching: Watching) -> None:
    delivery_id = world.announce()
    watching.hours(24)
    attempt_id = world.begin(delivery_id)
    assert watching.outage.record_failure(AWAY) == 0
    assert world.work(attempt_id) == "published"


def test_an_attempt_that_never_began_ends_with_its_delivery(world: CoreHarness, watching: Watching) -> None:
    world.announce()
    attempts.launch_due(world.context)
    assert watching.hours(25) == 1
    with world.catalog.read_session() as session:
        [attempt] = session.scalars(select(Attempt)).all()
    assert (attempt.status, attempt.outcome) == ("ended", "given up")
