"""Daily budgets: how much one webhook may have stored in 24 hours, whoever counts and whatever the clock does."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from bootpress.core.deliveries import budgets
from bootpress.core.deliveries.budgets import ARTIFACT_BYTES, ARTIFACTS_FREE, ROW_BYTES
from bootpress.core.deliveries.models import Delivery
from bootpress.core.deliveries.receiver import WebhookReceiver, WebhookRequest
from bootpress.core.errors import InvalidInput, RateLimited, Unauthenticated
from bootpress.stack.doctor_webhooks import near_budget
from tests.support.core_harness import CLIENT, REPOSITORY, CoreHarness, sign_base64

SIZE = 1000


def giving(world: CoreHarness, deliveries: int) -> int:
    """Give each webhook a daily budget for so many deliveries of SIZE bytes; return it."""
    limit = deliveries * (SIZE + ROW_BYTES)
    world.context = replace(world.context, limits=replace(world.context.limits, webhook_daily_bytes=limit))
    world.bell = WebhookReceiver(world.context, rate=50, burst=1000)
    return limit


def body(world: CoreHarness, size: int = SIZE) -> bytes:
    """Return a body of this size that no other is like."""
    text = world.body(git_sha=uuid4().hex, note="")
    return text[:-2] + b"x" * (size - len(text)) + text[-2:]


def many_layers(world: CoreHarness) -> list[dict[str, Any]]:
    return [world.images.blob(b"%d" % number, "application/vnd.test") for number in range(60)]


def ring(world: CoreHarness, content: bytes) -> WebhookRequest:
    return WebhookRequest(
        world.webhook_id, {"x-powernode-signature": sign_base64(world.secret, content)}, content, CLIENT
    )


def refusal(world: CoreHarness, content: bytes) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        world.post(content)
    return caught.value


def count(world: CoreHarness) -> int:
    with world.catalog.read_session() as session:
        return session.scalar(select(func.count(Delivery.id))) or 0


def test_what_does_not_fit_is_refused_with_the_budget_the_setting_and_when_it_is_free_again(world: CoreHarness) -> None:
    limit = giving(world, 3)
    for _ in range(3):
        world.post(body(world))
    world.clock.advance(hours=5)
    refused = refusal(world, body(world))
    assert str(limit) in refused.message
    assert "BOOTPRESS_WEBHOOK_DAILY_MIB" in str(refused.hint)
    assert refused.retry_after == 19 * 3600
    assert count(world) == 3
    world.clock.advance(seconds=refused.retry_after - 1)
    refusal(world, body(world))
    world.clock.advance(seconds=1)
    world.post(body(world))
    assert count(world) == 4


def test_smaller_ones_fit_where_a_larger_one_does_not(world: CoreHarness) -> None:
    giving(world, 2)
    world.post(body(world))
    refusal(world, body(world, SIZE + 1))
    world.post(body(world))
    assert world.webhook().stored_bytes == 2 * (SIZE + ROW_BYTES)


def test_a_duplicate_costs_nothing_and_is_answered_when_the_budget_is_used_up(world: CoreHarness) -> None:
    giving(world, 2)
    first, second = body(world), body(world)
    receipts = [world.post(first), *[world.post(first) for _ in range(5)], world.post(second)]
    assert [one.duplicate for one in receipts] == [False, *[True] * 5, False]
    refusal(world, body(world))
    assert world.post(first).duplicate
    assert world.webhook().stored_bytes == 2 * (SIZE + ROW_BYTES)


def test_many_at_once_get_each_their_own_answer(world: CoreHarness) -> None:
    giving(world, 5)
    # Of those that come together, the budget goes to the first by their digests.
    one, *others = sorted((body(world) for _ in range(9)), key=lambda content: hashlib.sha256(content).digest())
    rings = [one, one, *others, one]
    outcomes = world.bell.receive_all(
        [ring(world, content) for content in rings],
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, RateLimited)]
    assert (len(outcomes), len(refused), count(world)) == (11, 4, 5)
    assert world.webhook().stored_bytes == 5 * (SIZE + ROW_BYTES)
    kept = {outcome.delivery_id for outcome in outcomes if not isinstance(outcome, Exception)}
    assert len(kept) == 5


def test_what_an_image_consists_of_is_counted_beyond_what_is_free(world: CoreHarness) -> None:
    giving(world, 3)
    world.platform()
    layers = many_layers(world)
    digest = world.images.image(layers=layers)
    before = world.webhook().stored_bytes
    world.publish(digest=digest)
    rows = 1 + 1 + len(layers)
    spent = world.webhook().stored_bytes - before
    assert spent > ROW_BYTES + (rows - ARTIFACTS_FREE) * ARTIFACT_BYTES > 3 * ROW_BYTES
    assert refusal(world, body(world)).retry_after
    world.clock.advance(days=1)
    world.post(body(world))


def test_an_image_that_is_announced_again_is_not_counted_again(world: CoreHarness) -> None:
    world.platform()
    digest = world.images.image(layers=many_layers(world), sign=False)
    spent = []
    for _ in range(2):
        before = world.webhook().stored_bytes
        assert world.process(world.announce(ref=f"{REPOSITORY}@{digest}", git_sha=uuid4().hex)) == "failed"
        spent.append(world.webhook().stored_bytes - before)
    assert spent[1] < ROW_BYTES + 1024 < spent[0]


def test_another_webhook_has_a_budget_of_its_own(world: CoreHarness) -> None:
    giving(world, 1)
    made = world.call("provision_disk_image_webhook", label="other")
    world.post(body(world))
    refusal(world, body(world))
    world.post(body(world), webhook_id=UUID(made["webhook_id"]), secret=made["webhook_secret"])


def test_what_does_not_hold_or_cannot_be_read_costs_nothing(world: CoreHarness) -> None:
    giving(world, 1)
    with pytest.raises(Unauthenticated):
        world.post(body(world), secret="another")
    with pytest.raises(InvalidInput):
        world.post(b"{" + b"x" * SIZE)
    world.post(body(world))


def test_a_restart_and_another_process_count_on(world: CoreHarness) -> None:
    giving(world, 2)
    world.post(body(world))
    world.bell = WebhookReceiver(world.context, rate=50, burst=1000)
    world.post(body(world))
    world.bell = WebhookReceiver(world.context, rate=50, burst=1000)
    refusal(world, body(world))


def test_processes_that_store_at_once_stay_within_one_budget(world: CoreHarness) -> None:
    giving(world, 10)
    bells = [WebhookReceiver(world.context, rate=50, burst=1000) for _ in range(4)]
    groups = [[ring(world, body(world)) for _ in range(6)] for _ in bells]
    with ThreadPoolExecutor(len(bells)) as threads:
        outcomes = [
            outcome
            for found in threads.map(lambda bell, rings: bell.receive_all(rings), bells, groups)
            for outcome in found
        ]
    assert sum(isinstance(outcome, RateLimited) for outcome in outcomes) == 14
    assert count(world) == 10
    assert world.webhook().stored_bytes == 10 * (SIZE + ROW_BYTES)


@pytest.mark.parametrize("jump", [{"days": 400}, {"days": -400}, {"hours": -30}])
def test_a_clock_that_was_wrong_locks_no_webhook_out(world: CoreHarness, jump: dict[str, float]) -> None:
    giving(world, 1)
    world.clock.advance(**jump)
    world.post(body(world))
    world.clock.advance(**{name: -by for name, by in jump.items()})
    world.post(body(world))
    refusal(world, body(world))


def test_a_clock_some_minutes_behind_anothers_counts_the_same_day(world: CoreHarness) -> None:
    giving(world, 1)
    world.post(body(world))
    world.clock.advance(minutes=-10)
    refusal(world, body(world))


def test_who_is_near_the_budget_is_named(world: CoreHarness) -> None:
    limit = giving(world, 10)

    def near() -> list[tuple[str, int]]:
        return [(one.label, one.spent) for one in budgets.near(world.catalog, limit=limit, now=world.clock.now())]

    for _ in range(7):
        world.post(body(world))
    assert near() == []
    assert near_budget(world.catalog, limit=limit, now=world.clock.now()).health == "ok"
    world.post(body(world))
    assert near() == [("ci", 8 * (SIZE + ROW_BYTES))]
    finding = near_budget(world.catalog, limit=limit, now=world.clock.now())
    assert finding.health == "warn"
    assert " MiB" in finding.detail
    assert f"ci ({world.webhook_id}): 80 %" in finding.detail
    world.clock.advance(days=1)
    assert near() == []
