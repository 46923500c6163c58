"""Platforms with large policies: keys take the room of keys, and a page ends before roots fill the memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import update

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import MAX_TRUST_OF_A_PAGE
from bootpress.core.platforms.trust import MAX_KEYS, MAX_PEM
from tests.support.core_harness import CoreHarness


def padded(key: SigningKey) -> str:
    """Write a key as long as a text of one may be."""
    return key.public_pem.rjust(MAX_PEM, "\n")


@pytest.mark.parametrize("name", ["system_create_node_platform", "system_update_node_platform"])
def test_a_key_takes_the_room_of_a_key_whatever_stands_around_it(world: CoreHarness, name: str) -> None:
    known = [SigningKey.create() for _ in range(MAX_KEYS)]
    trust = {"mode": "keys", "public_keys": [padded(key) for key in known]}
    platform_id = world.platform(trust=trust if name == "system_create_node_platform" else world.images.trust)
    if name == "system_update_node_platform":
        world.call(name, id="edge", trust=trust)
    kept = world.find_platform(platform_id).trust
    assert kept == {"mode": "keys", "public_keys": [key.public_pem for key in known]}
    assert world.call("system_get_node_platform", id="edge")["node_platform"]["trust"] == kept
    digest = world.images.image(sign=False)
    world.images.sign(digest, known[-1])
    assert world.publication(world.publish(digest=digest)).status == "published"


def test_a_page_ends_before_its_trust_policies_are_too_large(world: CoreHarness) -> None:
    size = 200 * 1024
    root = {
        "mode": "keyless",
        "cosign_identity_regexp": "a",
        "cosign_issuer_regexp": "b",
        "trusted_root": {"x": "y" * size},
    }
    for number in range(12):
        world.platform(f"edge-{number:02}")
    with world.catalog.transaction() as session:
        session.execute(update(NodePlatform).values(trust=root))
        session.execute(update(NodePlatform).where(NodePlatform.slug == "edge-07").values(trust=heavier(root)))
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = world.call("system_list_node_platforms", **cursor)
        shown = page["node_platforms"]
        seen += [one["slug"] for one in shown]
        assert len(shown) == 1 or sum(len(json.dumps(one["trust"])) for one in shown) <= MAX_TRUST_OF_A_PAGE
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [f"edge-{number:02}" for number in range(12)]


def heavier(root: dict[str, Any]) -> dict[str, Any]:
    return {**root, "trusted_root": {"x": "y" * 2 * MAX_TRUST_OF_A_PAGE}}
