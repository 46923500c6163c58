"""Platforms, publications and deliveries as operations show them: pages, filters, names that clash."""

from __future__ import annotations

import base64
from uuid import uuid4

import pytest

from bootpress.core.errors import Conflict, InvalidInput, NotFound
from tests.support.core_harness import HOST, CoreHarness


def test_deliveries_come_in_pages_newest_first(world: CoreHarness) -> None:
    ids = []
    for number in range(7):
        ids.append(str(world.announce(git_sha=str(number))))
        if number % 2:  # some share a moment
            world.clock.advance(seconds=1)
    seen, cursor = [], None
    while True:
        page = world.call("system_list_disk_image_deliveries", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [row["id"] for row in page["deliveries"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        world.announce(git_sha=cursor)  # what arrives meanwhile is on no later page
    assert sorted(seen) == sorted(ids)
    assert seen[0] == ids[-1]


def test_deliveries_can_be_narrowed_down_by_status(world: CoreHarness) -> None:
    world.process(world.announce(slug="nobody"))
    world.announce(git_sha="x")
    for status in ("received", "failed"):
        rows = world.call("system_list_disk_image_deliveries", status=status)["deliveries"]
        assert [row["status"] for row in rows] == [status]


def test_publications_come_in_pages_with_their_default_marked(world: CoreHarness) -> None:
    platform_id = world.platform()
    ids = []
    for _ in range(3):
        ids.append(str(world.publish()))
        world.clock.advance(seconds=1)
    page = world.call("system_list_disk_image_publications", node_platform_id="edge", limit=2)
    rest = world.call(
        "system_list_disk_image_publications", node_platform_id=str(platform_id), cursor=page["next_cursor"]
    )
    rows = [*page["publications"], *rest["publications"]]
    assert [row["id"] for row in rows] == ids[::-1]
    assert [row["is_default"] for row in rows] == [False, False, True]
    assert rest["next_cursor"] is None
    assert world.call("system_get_disk_image_publication", id=ids[0])["publication"] == rows[2]


SOME_ID = "d9428888-122b-4f1b-8d26-9f5a3c1e7b64"


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "bad",
    [
        "x",
        "!!!",
        "é",
        cursor("now|then"),
        cursor(f"|{SOME_ID}"),
        cursor("2025-06-01T12:00:00+00:00|1"),
        cursor(f"0001-01-01T00:00:00+14:00|{SOME_ID}"),
        cursor(f"9999-12-31T23:59:59-14:00|{SOME_ID}"),
    ],
)
def test_a_cursor_that_is_not_ours_is_refused_by_name(world: CoreHarness, bad: str) -> None:
    with pytest.raises(InvalidInput, match="not one of ours") as caught:
        world.call("system_list_disk_image_deliveries", cursor=bad)
    assert caught.value.field == "cursor"


def test_a_cursor_without_a_time_zone_does_no_harm(world: CoreHarness) -> None:
    made_up = cursor(f"2025-06-01T12:00:00|{uuid4()}")
    assert world.call("system_list_disk_image_deliveries", cursor=made_up)["deliveries"] == []


@pytest.mark.parametrize(
    "slug", [SOME_ID, SOME_ID.replace("-", ""), "Edge", "-edge", "edge-", "e" * 64, "a b", "", "edge\n"]
)
def test_what_is_no_slug_or_reads_as_an_id_is_refused_by_name(world: CoreHarness, slug: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        world.platform(slug)
    assert caught.value.field == "slug"


def test_a_slug_is_taken_once_in_an_account(world: CoreHarness) -> None:
    world.platform("edge")
    other = world.platform("other")
    with pytest.raises(Conflict, match="there is a node platform 'edge' already"):
        world.platform("edge")
    with pytest.raises(Conflict, match="there is a node platform 'edge' already"):
        world.call("system_update_node_platform", id=str(other), slug="edge")
    assert world.platform("edge", caller=world.new_caller("rival")) != other


def test_a_platforms_fields_are_checked_and_its_repository_normalised(world: CoreHarness) -> None:
    world.platform(oci_repository="REGISTRY.example/os/images")
    row = world.call("system_get_node_platform", id="edge")["node_platform"]
    assert row["oci_repository"] == "registry.example/os/images"
    for repository in ("registry.example/os:tag", "no-host", "registry.example:99999/os"):
        with pytest.raises(InvalidInput) as caught:
            world.call("system_update_node_platform", id="edge", oci_repository=repository)
        assert caught.value.field == "oci_repository"
    with pytest.raises(InvalidInput):
        world.call("system_update_node_platform", id="edge", trust={"mode": "keys", "public_keys": ["no key"]})
    for text in ("a\0b", "\ud800"):
        trust = {"mode": "keyless", "cosign_identity_regexp": text, "cosign_issuer_regexp": "x"}
        with pytest.raises(InvalidInput, match="trust"):
            world.call("system_update_node_platform", id="edge", trust=trust)
    assert world.call("system_get_node_platform", id="edge")["node_platform"] == row


def test_an_update_changes_what_is_given_and_nothing_else(world: CoreHarness) -> None:
    world.platform()
    before = world.call("system_get_node_platform", id="edge")["node_platform"]
    world.clock.advance(seconds=1)
    after = world.call("system_update_node_platform", id="edge", name="Edge", slug="rim")["node_platform"]
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"name", "slug", "updated_at"}
    with pytest.raises(NotFound):
        world.call("system_get_node_platform", id="edge")


def test_an_image_moves_with_its_platforms_registry_connection(world: CoreHarness) -> None:
    mine = {"name": "main", "username": "u", "token": "hunter2-hunter2"}
    world.call("system_connect_registry", host=HOST, **mine)
    world.platform(registry="main")
    world.call("system_connect_registry", host="127.0.0.1:5001", **mine)
    world.images.image(tag="v1")
    delivery_id = world.announce()
    assert world.process(delivery_id) == "postponed"
    message = str(world.delivery(delivery_id).error_message)
    assert "'main' is for 127.0.0.1:5001" in message
    assert "system_connect_registry" in message
    world.call("system_connect_registry", host=HOST, **mine)
    assert world.process(delivery_id) == "published"
    assert "hunter2" not in str(world.call("system_list_connections"))


def test_a_retry_is_for_what_failed(world: CoreHarness) -> None:
    world.platform()
    publication_id = world.publish()
    with pytest.raises(Conflict, match="is published; only a failed one can be retried"):
        world.call("system_retry_disk_image_publication", publication_id=str(publication_id))
