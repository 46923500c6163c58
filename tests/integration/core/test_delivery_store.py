"""Deliveries stored by several processes at once: each has its own group of arrivals, in the order they came."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import UUID

import pytest
from sqlalchemy import event

from bootpress.core.deliveries.payload import read_announcement
from bootpress.core.deliveries.store import StoredDelivery, VerifiedDelivery, store_deliveries
from bootpress.core.webhooks.service import provision_webhook
from tests.support.core_harness import CoreHarness

AT_ONCE = 64


def arrival(world: CoreHarness, name: str, *, webhook_id: UUID | None = None) -> VerifiedDelivery:
    body = world.body(git_sha=name)
    return VerifiedDelivery(webhook_id or world.webhook_id, world.account_id, "ci", body, read_announcement(body))


def another_webhook(world: CoreHarness) -> UUID:
    return provision_webhook(world.context, account_id=world.account_id, label="other", actor="test").webhook.id


def store(world: CoreHarness, arrivals: Sequence[VerifiedDelivery]) -> list[StoredDelivery]:
    """Store a group as one process does of which these arrivals come at once."""
    receipts = []
    for one in store_deliveries(world.context, arrivals):
        assert isinstance(one, StoredDelivery), one
        receipts.append(one)
    return receipts


def in_two_processes(
    world: CoreHarness, first: Sequence[VerifiedDelivery], second: Sequence[VerifiedDelivery]
) -> list[list[StoredDelivery]]:
    gate = threading.Barrier(2)

    def process(arrivals: Sequence[VerifiedDelivery]) -> list[StoredDelivery]:
        gate.wait(10)
        return store(world, arrivals)

    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(process, (first, second)))


def test_each_arrival_gets_its_own_answer_whatever_order_they_are_stored_in(world: CoreHarness) -> None:
    other = another_webhook(world)
    arrivals = [arrival(world, str(number), webhook_id=hook) for number in range(8) for hook in (None, other)]
    receipts = store(world, [*arrivals, *arrivals])
    for one, receipt in zip(arrivals, receipts, strict=False):
        row = world.delivery(receipt.delivery_id)
        assert (row.webhook_id, row.body) == (one.webhook_id, one.body)
    assert [receipt.delivery_id for receipt in receipts[16:]] == [receipt.delivery_id for receipt in receipts[:16]]
    assert [receipt.duplicate for receipt in receipts] == [False] * 16 + [True] * 16
    assert (world.webhook().received_count, world.webhook(other).received_count) == (16, 16)


def test_the_same_bodies_in_two_orders_at_once_are_stored_once_each(world: CoreHarness) -> None:
    for group in range(12):
        arrivals = [arrival(world, f"{group}-{number}") for number in range(AT_ONCE)]
        forth, back = in_two_processes(world, arrivals, arrivals[::-1])
        assert [one.delivery_id for one in forth] == [one.delivery_id for one in back[::-1]]
        assert [one.duplicate for one in forth] == [not one.duplicate for one in back[::-1]]


def first_time(text: str, then: Callable[[], object]) -> Callable[..., None]:
    """Return a listener that does something after the first statement of each thread that holds a text."""
    seen = threading.local()

    def listen(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if text in statement and not getattr(seen, "yes", False):
            seen.yes = True
            then()

    return listen


@pytest.mark.part("postgresql")
def test_two_webhooks_that_ring_in_two_orders_at_once_are_counted(postgres_world: CoreHarness) -> None:
    world = postgres_world
    other = another_webhook(world)
    gate = threading.Barrier(2)

    def meet() -> None:
        with suppress(threading.BrokenBarrierError):  # the other waits for our row, as it should
            gate.wait(0.5)

    event.listen(world.catalog.engine, "after_cursor_execute", first_time("UPDATE webhooks", meet))
    in_two_processes(
        world,
        [arrival(world, "1"), arrival(world, "2", webhook_id=other)],
        [arrival(world, "3", webhook_id=other), arrival(world, "4")],
    )
    assert (world.webhook().received_count, world.webhook(other).received_count) == (2, 2)


@pytest.mark.part("postgresql")
def test_a_ring_whose_twin_begins_while_it_is_stored_is_a_new_delivery(postgres_world: CoreHarness) -> None:
    world = postgres_world
    [waiting] = store(world, [arrival(world, "1")])

    def begin() -> None:
        world.begin(waiting.delivery_id)

    event.listen(world.catalog.engine, "after_cursor_execute", first_time("INSERT INTO webhook_deliveries", begin))
    [receipt] = store(world, [arrival(world, "1")])
    assert receipt.delivery_id != waiting.delivery_id
    assert not receipt.duplicate
    assert world.delivery(waiting.delivery_id).status == "processing"
    assert world.delivery(receipt.delivery_id).status == "received"
