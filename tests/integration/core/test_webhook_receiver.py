"""The bell: who may ring it, how often, and that each ring is stored once."""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from bootpress.core.deliveries.models import Delivery
from bootpress.core.deliveries.receiver import FAILURES_AT_ONCE, WebhookReceiver
from bootpress.core.deliveries.store import StoredDelivery
from bootpress.core.errors import InvalidInput, RateLimited, Superseded, Unauthenticated
from tests.support.core_harness import CLIENT, CoreHarness, sign_base64


def ring(
    world: CoreHarness,
    *,
    webhook_id: UUID | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    client: str = CLIENT,
) -> StoredDelivery:
    """Ring by hand; by default with the right secret."""
    content = world.body() if body is None else body
    given = {"x-powernode-signature": sign_base64(world.secret, content)} if headers is None else headers
    return world.bell.receive(webhook_id or world.webhook_id, headers=given, body=content, client=client)


def refusal(world: CoreHarness, *, webhook_id: UUID | None = None, headers: Mapping[str, str] | None = None) -> str:
    with pytest.raises(Unauthenticated) as caught:
        ring(world, webhook_id=webhook_id, headers=headers)
    return f"{type(caught.value).__name__}: {caught.value}"


def count(world: CoreHarness) -> int:
    with world.catalog.read_session() as session:
        return session.scalar(select(func.count(Delivery.id))) or 0


def test_a_delivery_is_stored_as_it_arrived(world: CoreHarness) -> None:
    body = world.body(git_sha="abc")
    receipt = world.post(body)
    row = world.delivery(receipt.delivery_id)
    assert (row.body, row.body_sha256) == (body, hashlib.sha256(body).hexdigest())
    assert (row.status, row.source, row.actor, row.git_sha) == ("received", "webhook", "webhook:ci", "abc")
    assert row.received_at == row.next_attempt_at == world.clock.now()
    webhook = world.webhook()
    assert (webhook.received_count, webhook.last_received_at) == (1, world.clock.now())


def test_the_same_body_is_a_duplicate_until_its_processing_begins(world: CoreHarness) -> None:
    world.platform()
    body = world.body()
    first = world.post(body)
    assert world.post(body) == StoredDelivery(first.delivery_id, duplicate=True)
    assert not world.post(world.body(git_sha="another")).duplicate
    world.begin(first.delivery_id)
    second = world.post(body)
    assert not second.duplicate
    assert second.delivery_id != first.delivery_id
    assert world.post(body) == StoredDelivery(second.delivery_id, duplicate=True)
    assert world.webhook().received_count == 5


def test_the_same_body_for_two_webhooks_is_two_deliveries(world: CoreHarness) -> None:
    made = world.call("provision_disk_image_webhook", label="other")
    body = world.body()
    first = world.post(body)
    second = world.post(body, webhook_id=UUID(made["webhook_id"]), secret=made["webhook_secret"])
    assert not second.duplicate
    assert first.delivery_id != second.delivery_id


def test_whoever_may_not_ring_gets_one_and_the_same_answer(world: CoreHarness) -> None:
    answers = {
        refusal(world, webhook_id=uuid4()),
        refusal(world, webhook_id=UUID(int=0)),
        refusal(world, headers={}),
        refusal(world, headers={"x-powernode-signature": ""}),
        refusal(world, headers={"x-powernode-signature": sign_base64("wrong", world.body())}),
        refusal(world, headers={"x-powernode-signature": "sha256=nothex"}),
        # The first header that is present counts, also when a later one would hold.
        refusal(
            world,
            headers={"x-powernode-signature": "bad", "x-hub-signature-256": sign_base64(world.secret, world.body())},
        ),
    }
    world.call("system_disable_disk_image_webhook", webhook_id=str(world.webhook_id))
    answers.add(refusal(world))
    world.call("system_revoke_disk_image_webhook", webhook_id=str(world.webhook_id))
    answers.add(refusal(world))
    assert len(answers) == 1
    assert count(world) == 0


def test_a_webhook_id_that_is_no_uuid_is_an_unknown_one(world: CoreHarness) -> None:
    with pytest.raises(Unauthenticated):
        world.bell.receive(None, headers={}, body=world.body(), client=CLIENT)


@pytest.mark.parametrize("header", ["x-powernode-signature", "x-hub-signature-256", "x-gitea-signature"])
@pytest.mark.parametrize("spelling", ["base64", "sha256=", "hex"])
def test_every_header_and_spelling_of_a_signature_is_read(world: CoreHarness, header: str, spelling: str) -> None:
    body = world.body()
    digest = hmac.new(world.secret.encode(), body, hashlib.sha256).hexdigest()
    value = {"base64": sign_base64(world.secret, body), "sha256=": f"sha256={digest}", "hex": digest}[spelling]
    assert not ring(world, headers={header: value}, body=body).duplicate


def test_a_disabled_webhook_rings_again_when_it_is_enabled(world: CoreHarness) -> None:
    world.call("system_disable_disk_image_webhook", webhook_id=str(world.webhook_id))
    refusal(world)
    world.call("system_enable_disk_image_webhook", webhook_id=str(world.webhook_id))
    assert not ring(world).duplicate


def test_a_body_is_read_only_after_its_signature_held(world: CoreHarness) -> None:
    with pytest.raises(Unauthenticated):
        ring(world, body=b"{", headers={})
    with pytest.raises(InvalidInput, match="not JSON"):
        ring(world, body=b"{")
    assert count(world) == 0


def test_a_webhook_that_sends_too_fast_is_told_when_to_come_back(world: CoreHarness) -> None:
    world.bell = WebhookReceiver(world.context, rate=0.5, burst=3)
    for number in range(3):
        ring(world, body=world.body(git_sha=str(number)))
    refusal(world, headers={})
    with pytest.raises(RateLimited) as caught:
        ring(world)
    assert 0 < caught.value.retry_after <= 2
    made = world.call("provision_disk_image_webhook", label="other")
    assert not world.post(world.body(), webhook_id=UUID(made["webhook_id"]), secret=made["webhook_secret"]).duplicate


def test_bad_signatures_use_up_no_rate_of_the_webhook(world: CoreHarness) -> None:
    world.bell = WebhookReceiver(world.context, rate=0.001, burst=1)
    for _ in range(5):
        refusal(world, headers={})
    assert not ring(world).duplicate


@pytest.mark.parametrize("known", [True, False])
def test_failures_are_limited_by_address_for_known_and_unknown_webhooks_alike(
    world: CoreHarness, *, known: bool
) -> None:
    webhook_id = world.webhook_id if known else uuid4()
    for _ in range(FAILURES_AT_ONCE):
        with pytest.raises(Unauthenticated):
            ring(world, webhook_id=webhook_id, headers={}, client="192.0.2.66")
    with pytest.raises(RateLimited) as caught:
        ring(world, webhook_id=webhook_id, headers={}, client="192.0.2.66")
    assert 0 < caught.value.retry_after <= 1
    assert not ring(world, client="192.0.2.67").duplicate


def test_who_rings_with_a_good_signature_is_heard_whatever_came_from_the_same_address(world: CoreHarness) -> None:
    for _ in range(FAILURES_AT_ONCE + 10):
        with pytest.raises((Unauthenticated, RateLimited)):
            ring(world, headers={})
    assert not ring(world).duplicate


def test_sixteen_at_once_with_one_body_store_exactly_one(world: CoreHarness) -> None:
    body, gate = world.body(), threading.Barrier(16)

    def post(_: int) -> StoredDelivery:
        gate.wait()
        return world.post(body)

    with ThreadPoolExecutor(16) as pool:
        receipts = list(pool.map(post, range(16)))
    assert len({receipt.delivery_id for receipt in receipts}) == 1
    assert sorted(receipt.duplicate for receipt in receipts) == [False] + [True] * 15
    assert count(world) == 1
    assert world.webhook().received_count == 16


def test_a_ring_is_never_lost_to_a_delivery_that_begins_meanwhile(world: CoreHarness) -> None:
    """Every POST must be answered by a delivery that began after the POST came: its tag may just have moved."""
    body, stop = world.body(), threading.Event()
    begun: list[UUID] = []

    def begin_whatever_waits() -> None:
        while not stop.is_set():
            with world.catalog.read_session() as session:
                waiting = session.scalars(select(Delivery.id).where(Delivery.status == "received")).all()
            for delivery_id in waiting:
                try:
                    world.begin(delivery_id)
                except Superseded:
                    continue
                begun.append(delivery_id)

    def post(_: int) -> bool:
        before = set(begun)
        return world.post(body).delivery_id not in before

    worker = threading.Thread(target=begin_whatever_waits)
    worker.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(post, range(64)))
    finally:
        stop.set()
        worker.join()
    assert all(answers)
    assert len(begun) == len(set(begun))
    assert count(world) > 1
