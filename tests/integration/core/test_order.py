"""The order of publications is that of commits, whatever the clock says; no page loses a row to a clock set back."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from bootpress.core.publications.models import Publication
from tests.support.core_harness import REPOSITORY, CoreHarness


def numbers(world: CoreHarness) -> list[tuple[int, int | None]]:
    with world.catalog.read_session() as session:
        query = select(Publication.sequence, Publication.published_sequence).order_by(Publication.sequence)
        return [(made, published) for made, published in session.execute(query)]


def listed(world: CoreHarness) -> list[str]:
    rows: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = world.call("system_list_disk_image_publications", node_platform_id="edge", limit=2, **cursor)
        rows += [row["id"] for row in page["publications"]]
        if page["next_cursor"] is None:
            return rows
        cursor = {"cursor": page["next_cursor"]}


def test_what_is_published_last_is_the_newest_whatever_the_clock_says(world: CoreHarness) -> None:
    platform_id = world.platform(retention_count=2)
    ids = [world.publish()]
    for _ in range(4):
        world.clock.advance(hours=-1)
        ids.append(world.publish())
    newest = [str(one) for one in reversed(ids)]
    assert listed(world) == newest
    plan = world.call("system_preview_disk_image_retention", node_platform_id="edge")
    assert (plan["keep"], plan["retire"]) == (newest[:2], newest[2:4])
    assert plan["protected"] == [{"publication_id": newest[4], "because": "default"}]
    assert world.call("system_sweep_disk_image_retention", node_platform_id="edge")["retired"] == newest[2:4]
    last = world.publication(ids[-1])
    assert world.find_platform(platform_id).disk_image_oci_ref == f"{REPOSITORY}@{last.oci_digest}"


def test_what_is_published_again_is_the_newest_and_stays_in_its_place_in_the_list(world: CoreHarness) -> None:
    world.platform(retention_count=1)
    digest = world.images.image()
    first, second = world.publish(digest=digest), world.publish()
    before = listed(world)
    with world.catalog.transaction() as session:
        session.get_one(Publication, first).status = "purged"
    world.clock.advance(hours=-1)
    world.publish(digest=digest)
    assert listed(world) == before == [str(second), str(first)]
    assert world.call("system_preview_disk_image_retention", node_platform_id="edge")["keep"] == [str(first)]


def test_those_that_are_published_at_once_have_numbers_of_their_own(world: CoreHarness) -> None:
    world.platform()
    digests = [world.images.image() for _ in range(8)]
    ids = [world.announce(ref=f"{REPOSITORY}@{digest}") for digest in digests]
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(world.process, ids))
    while "postponed" in outcomes:
        outcomes = [world.process(one) for one in ids if world.delivery(one).status == "processing"]
    made = [number for number, _ in numbers(world)]
    published = [number for _, number in numbers(world)]
    assert len({*made, *published}) == 16
    last = world.find_platform(world.publications()[0].node_platform_id)
    newest = max(world.publications(), key=lambda row: row.published_sequence or 0)
    assert last.publication_sequence == max([*made, *(one or 0 for one in published)])
    assert last.disk_image_oci_ref == f"{REPOSITORY}@{newest.oci_digest}"


LISTINGS: dict[str, tuple[str, Callable[[CoreHarness, int], object]]] = {
    "system_list_disk_image_deliveries": ("deliveries", lambda world, n: world.announce(git_sha=str(n))),
    "recent_events": (
        "events",
        lambda world, _: world.call(
            "system_rotate_disk_image_webhook_secret", webhook_id=str(world.webhook_id), overlap_minutes=0
        ),
    ),
    "system_list_disk_image_webhooks": (
        "webhooks",
        lambda world, n: world.call("provision_disk_image_webhook", label=f"label {n}"),
    ),
    "list_api_tokens": ("tokens", lambda world, n: world.call("create_api_token", name=f"t{n}", permissions=["*"])),
    "system_list_node_platforms": ("node_platforms", lambda world, n: world.platform(f"edge-{9 - n}")),
    "system_list_connections": (
        "connections",
        lambda world, n: world.call("system_connect_registry", name=f"r{9 - n}", host=f"127.0.0.1:{5000 + n}"),
    ),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_each_row_that_is_there_is_on_one_page_although_others_come_and_the_clock_is_set_back(
    world: CoreHarness, name: str
) -> None:
    field, add = LISTINGS[name]
    for number in range(5):
        add(world, number)
        world.clock.advance(minutes=-1 if number % 2 else 2)
    whole = world.call(name)[field]
    keys = [row.get("id") or row["name"] for row in whole]
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = world.call(name, limit=2, **cursor)
        assert 1 <= len(page[field]) <= 2
        seen += [row.get("id") or row["name"] for row in page[field]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        if len(seen) == 2:
            world.clock.advance(hours=-1)
            add(world, 7)
    assert len(seen) == len(set(seen))
    assert [key for key in seen if key in keys] == keys
