"""Places among accounts, platforms and hosts, as the catalog shares them; circuit breakers of registry hosts."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, text

from bootpress.core.breakers import rules as breaker_rules
from bootpress.core.breakers import service as breakers
from bootpress.core.breakers.models import CircuitBreaker
from bootpress.core.breakers.rules import Phase
from bootpress.core.context import Limits
from bootpress.core.deliveries import attempts, orchestrator_outage, queues
from bootpress.core.deliveries.models import Delivery
from bootpress.core.errors import RegistryPaused, RegistryUnavailable, RegistryUnreachable
from bootpress.core.publications import ingest
from bootpress.core.retention.models import DeletionStep
from bootpress.core.webhooks.service import provision_webhook
from tests.support.attempts import announce_many, begin_launched
from tests.support.core_harness import HOST, REPOSITORY, CoreHarness

OTHER = "127.0.0.1:5999"
ALIAS = "localhost:5000"


def platform_elsewhere(world: CoreHarness, slug: str = "elsewhere") -> UUID:
    return world.platform(slug, oci_repository=f"{OTHER}/os/{slug}")


def launched(world: CoreHarness) -> set[UUID | None]:
    """Return the deliveries that runs of one delivery each were launched for."""
    return {launch.delivery_id for launch in world.launcher.deliveries}


def test_a_good_delivery_of_another_platform_goes_at_once_whatever_fills_the_places(world: CoreHarness) -> None:
    world.platform()
    platform_elsewhere(world)
    for number in range(150):
        world.announce(slug="elsewhere", ref=f"{OTHER}/os/elsewhere:v{number}")
    assert attempts.launch_due(world.context).waiting > 0
    good = world.announce()
    attempts.launch_due(world.context)
    assert good in launched(world)


def test_a_good_delivery_of_another_account_goes_at_once_though_one_account_has_filled_every_place_of_platforms(
    world: CoreHarness,
) -> None:
    for number in range(30):
        platform_elsewhere(world, f"p{number}")
        for tag in range(5):
            world.announce(slug=f"p{number}", ref=f"{OTHER}/os/p{number}:v{tag}")
    attempts.launch_due(world.context)
    attempts.launch_due(world.context)
    caller = world.new_caller("other")
    made = provision_webhook(world.context, account_id=caller.account_id, label="ci", actor="test")
    world.platform(caller=caller)
    good = world.post(world.body(), webhook_id=made.webhook.id, secret=made.secret).delivery_id
    attempts.launch_due(world.context)
    assert good in launched(world)


def test_platforms_that_do_not_exist_share_the_places_of_their_webhook(world: CoreHarness) -> None:
    """Else whoever has the secret would make up names that have nothing in flight."""
    platform_id = world.platform()
    made_up = [world.announce(slug=f"nobody-{number}") for number in range(3)]
    by_id = world.announce(slug=str(platform_id))
    good = world.announce()
    assert {world.delivery(one).queue_id for one in made_up} == {world.webhook_id}
    assert {world.delivery(one).queue_id for one in (by_id, good)} == {platform_id}


def test_a_batch_holds_deliveries_of_one_account_and_host(catalog_url: str) -> None:
    world = CoreHarness(catalog_url, limits=Limits(launches_in_flight=1))
    world.platform("one")
    world.platform("two")
    platform_elsewhere(world)
    here = {world.announce(slug=slug, ref=f"{REPOSITORY}:{n}") for slug in ("one", "two") for n in range(5)}
    there = {world.announce(slug="elsewhere", ref=f"{OTHER}/os/elsewhere:{n}") for n in range(5)}
    attempts.launch_due(world.context)
    held = [{one for one, _ in attempts.attempts_of_batch(world.context, b.key)} for b in world.launcher.batches]
    assert sorted(held, key=len) == [there, here]
    world.catalog.close()


def test_a_look_among_a_hundred_thousand_waiting_deliveries_reads_few_of_them(world: CoreHarness) -> None:
    world.platform()
    platform_elsewhere(world)
    now = world.clock.now()
    crowd = world.announce(slug="elsewhere", ref=f"{OTHER}/os/elsewhere:v1")
    world.clock.advance(seconds=60)
    good = world.announce()
    with world.catalog.transaction() as session:
        row = session.get_one(Delivery, crowd)
        like = {column.key: getattr(row, column.key) for column in Delivery.__table__.columns}
        for start in range(0, 100_000, 1000):
            session.execute(
                insert(Delivery),
                [{**like, "id": uuid4(), "body_sha256": f"{start + n}", "received_at": now} for n in range(1000)],
            )
        if not world.catalog.is_sqlite:
            session.execute(text("ANALYZE webhook_deliveries"))
    with world.catalog.read_session() as session:
        found = {queue.id: queue.due for queue in queues.find_queues(session, world.clock.now(), most=200)}
    assert sorted(found.values()) == [1, 200]
    attempts.launch_due(world.context)
    assert good in launched(world)
    assert len(world.launcher.batches) <= 4


@pytest.mark.parametrize("age", [timedelta(0), timedelta(minutes=-10), timedelta(days=2)])
def test_what_is_due_is_found_though_the_clock_was_set(world: CoreHarness, age: timedelta) -> None:
    delivery_id = world.announce()
    world.clock.advance(seconds=age.total_seconds())
    with world.catalog.read_session() as session:
        assert [*queues.heads(session, world.webhook_id, world.clock.now(), most=9)] == [delivery_id]
        assert [one.due for one in queues.find_queues(session, world.clock.now(), most=9)] == [1]


def test_deliveries_that_are_held_or_postponed_are_not_due(world: CoreHarness) -> None:
    world.platform()
    held, postponed = announce_many(world, 2)
    world.begin(held)
    with world.registry_away("v1"):
        assert world.process(postponed) == "postponed"
    with world.catalog.read_session() as session:
        assert queues.find_queues(session, world.clock.now(), most=9) == []
    world.clock.advance(seconds=60)
    with world.catalog.read_session() as session:
        [found] = queues.find_queues(session, world.clock.now(), most=9)
    assert (found.due, found.host) == (2, HOST)  # the lease ran out, the pause is over


# Circuit breakers


def fail(world: CoreHarness, times: int) -> None:
    for _ in range(times):
        breakers.note_failure(world.context, world.account_id, HOST, "the connection failed: timed out")


def breaker_of(world: CoreHarness) -> CircuitBreaker | None:
    with world.catalog.read_session() as session:
        return session.scalar(select(CircuitBreaker))


def test_a_host_that_does_not_answer_opens_its_breaker_and_its_deliveries_say_so(world: CoreHarness) -> None:
    world.platform()
    platform_elsewhere(world)
    world.layout.error = RegistryUnreachable("GET /v2/: the connection failed: timed out")
    for delivery_id in announce_many(world, 3):
        assert world.process(delivery_id) == "postponed"
    waiting = world.announce(git_sha="f" * 40)
    assert attempts.launch_due(world.context).launched == 0
    [shown] = [
        one for one in world.call("system_list_disk_image_deliveries")["deliveries"] if one["id"] == str(waiting)
    ]
    assert f"the registry {HOST} did not answer 3 times in a row; it is asked again at" in shown["waiting_for"]
    other = world.announce(slug="elsewhere", ref=f"{OTHER}/os/elsewhere:v1")
    attempts.launch_due(world.context)
    assert launched(world) == {other}


def test_an_open_breaker_lets_nobody_ask_and_is_no_failure_of_its_own(world: CoreHarness) -> None:
    world.platform()
    [delivery_id] = announce_many(world, 1)
    fail(world, 3)
    assert world.process(delivery_id) == "postponed"
    assert isinstance(world.errors[-1], RegistryPaused)
    row = breaker_of(world)
    assert row is not None
    assert row.failures == 3
    assert world.delivery(delivery_id).next_attempt_at >= (row.retry_at or world.clock.now())


def test_after_the_pause_one_delivery_probes_and_its_success_closes_the_breaker(world: CoreHarness) -> None:
    world.platform()
    world.images.image(tag="v1")
    ids = announce_many(world, 20)
    fail(world, 3)
    world.clock.advance(seconds=breaker_rules.FIRST_PAUSE.total_seconds())
    assert attempts.launch_due(world.context).launched == 1
    assert attempts.launch_due(world.context).launched == 0
    [probe] = world.launcher.deliveries
    attempt_id = begin_launched(world, probe)
    second = world.begin(next(one for one in ids if one != probe.delivery_id))
    assert ingest.resolve(world.context, attempt_id)
    assert breaker_of(world) is None
    assert world.work(second) == "postponed"  # the other one verifies the same digest
    assert attempts.launch_due(world.context).launched > 1


def test_a_second_attempt_waits_while_one_probes(world: CoreHarness) -> None:
    world.platform()
    first, second = uuid4(), uuid4()
    fail(world, 3)
    world.clock.advance(seconds=breaker_rules.FIRST_PAUSE.total_seconds())
    breakers.admit(world.context, world.account_id, HOST, first)
    with pytest.raises(RegistryPaused):
        breakers.admit(world.context, world.account_id, HOST, second)
    breakers.admit(world.context, world.account_id, HOST, first)


@pytest.mark.parametrize("error", [RegistryUnavailable("refuses GET with 401"), RegistryUnavailable("answers 429")])
def test_an_answer_that_refuses_is_no_failure_of_the_host(world: CoreHarness, error: RegistryUnavailable) -> None:
    world.platform()
    world.layout.error = error
    for delivery_id in announce_many(world, 4):
        assert world.process(delivery_id) == "postponed"
    assert breaker_of(world) is None


def test_no_account_opens_the_breaker_of_another(world: CoreHarness) -> None:
    other = world.new_caller("other").account_id
    fail(world, 5)
    with world.catalog.read_session() as session:
        assert breakers.find(session, other, HOST) is None
        [trouble] = breakers.troubles(session, world.clock.now())
    assert (trouble.account_id, trouble.phase) == (world.account_id, Phase.OPEN)
    assert breakers.count(world.context) == {Phase.OPEN: 1}
    breakers.admit(world.context, other, HOST, uuid4())


def test_a_delivery_that_a_pause_holds_up_is_given_up_after_a_day(world: CoreHarness) -> None:
    world.platform()
    [delivery_id] = announce_many(world, 1)
    world.layout.error = RegistryUnreachable("timed out")
    outcome = "postponed"
    for _ in range(200):
        outcome = world.process(delivery_id)
        if outcome != "postponed":
            break
        world.clock.advance(seconds=15 * 60)
    assert outcome == "failed"


def test_breakers_of_hosts_that_nobody_asks_are_forgotten(world: CoreHarness) -> None:
    fail(world, 3)
    assert breakers.forget_old(world.context) == 0
    world.clock.advance(seconds=86_401)
    assert breakers.forget_old(world.context) == 1
    assert breaker_of(world) is None


def test_all_spellings_of_a_host_share_one_breaker_and_its_places(world: CoreHarness) -> None:
    world.platform()
    world.platform("alias", oci_repository=f"{ALIAS}/os/images")
    ids = {world.announce(), world.announce(slug="alias", ref=f"{ALIAS}/os/images:v1")}
    fail(world, 3)
    assert attempts.launch_due(world.context).launched == 0
    with pytest.raises(RegistryPaused, match=f"the registry {ALIAS} did not answer"):
        breakers.admit(world.context, world.account_id, ALIAS, uuid4())
    shown = world.call("system_list_disk_image_deliveries")["deliveries"]
    assert {one["waiting_for"].split()[2] for one in shown} == {HOST, ALIAS}
    world.clock.advance(seconds=breaker_rules.FIRST_PAUSE.total_seconds())
    assert attempts.launch_due(world.context).launched == 1
    breakers.note_answer(world.context, world.account_id, ALIAS)
    assert breaker_of(world) is None
    attempts.launch_due(world.context)
    assert launched(world) == ids


# A host that fails for a day


def fail_for(world: CoreHarness, *, hours: int) -> None:
    """Let somebody else's deliveries ask the host twice an hour, without an answer."""
    for _ in range(2 * hours):
        world.clock.advance(minutes=30)
        fail(world, 1)


def test_a_delivery_whose_turn_comes_every_few_hours_is_given_up_after_a_day(world: CoreHarness) -> None:
    world.platform()
    [delivery_id] = announce_many(world, 1)
    world.layout.error = RegistryUnreachable("timed out")
    for _ in range(6):
        assert world.process(delivery_id) == "postponed"
        fail_for(world, hours=4)
    assert world.process(delivery_id) == "failed"


def test_what_waits_for_a_day_at_a_host_that_fails_is_failed_without_a_turn(world: CoreHarness) -> None:
    world.platform()
    elsewhere = platform_elsewhere(world)
    fail(world, 1)
    waiting = announce_many(world, orchestrator_outage.BATCH_SIZE + 3)
    other = world.announce(slug="elsewhere", ref=f"{OTHER}/os/elsewhere:v1")
    fail_for(world, hours=23)
    late = world.announce(git_sha="f" * 40)
    assert orchestrator_outage.give_up_at_hosts(world.context) == 0
    fail_for(world, hours=1)
    assert orchestrator_outage.give_up_at_hosts(world.context) == len(waiting)
    assert {world.delivery(one).status for one in waiting} == {"failed"}
    said = f"for 24 hours the registry {HOST} did not answer; the last failure: the connection failed: timed out"
    assert all(said in str(world.delivery(one).error_message) for one in waiting)
    assert len(world.events("publish_failed")) == len(waiting)
    assert {world.delivery(one).status for one in (other, late)} == {"received"}
    assert world.find_platform(elsewhere).disk_image_publication_status != "failed"


@pytest.mark.parametrize("tries", [0, 1])
def test_hours_switched_off_are_no_hours_of_a_host_that_fails(world: CoreHarness, tries: int) -> None:
    world.platform()
    [delivery_id] = announce_many(world, 1)
    world.layout.error = RegistryUnreachable("timed out")
    for _ in range(tries):
        assert world.process(delivery_id) == "postponed"
    fail_for(world, hours=12)
    world.clock.advance(hours=60)
    assert orchestrator_outage.give_up_at_hosts(world.context) == 0
    fail_for(world, hours=12)
    assert orchestrator_outage.give_up_at_hosts(world.context) == 0
    assert world.process(delivery_id) == "postponed"
    fail_for(world, hours=13)
    assert orchestrator_outage.give_up_at_hosts(world.context) == 1


def test_a_host_that_answered_in_between_fails_nothing(world: CoreHarness) -> None:
    world.platform()
    [delivery_id] = announce_many(world, 1)
    fail_for(world, hours=23)
    breakers.note_answer(world.context, world.account_id, HOST)
    fail_for(world, hours=23)
    assert orchestrator_outage.give_up_at_hosts(world.context) == 0
    assert world.delivery(delivery_id).status == "received"


def test_what_nobody_was_asked_about_closes_no_breaker(world: CoreHarness) -> None:
    world.platform()
    attempt_id = world.begin(world.announce(ref=f"{REPOSITORY}@{world.images.image()}"))
    ingest.resolve(world.context, attempt_id)
    ingest.read_manifest(world.context, attempt_id)
    [publication] = world.publications()
    step = DeletionStep(id=uuid4(), publication_id=publication.id, position=0, role="subject", status="deleting")
    step.repository, step.digest, step.subject = f"{OTHER}/os/edge", publication.oci_digest, publication.oci_digest
    step.updated_at = world.clock.now()
    with world.catalog.transaction() as session:
        session.add(step)
    breakers.note_failure(world.context, world.account_id, HOST, "timed out")
    with pytest.raises(RegistryUnavailable, match="may be the same one"):
        ingest.verify_blobs(world.context, attempt_id)
    with world.catalog.read_session() as session:
        assert breakers.find(session, world.account_id, HOST) is not None
