"""An index is published only if it is flat and says of each child what that child is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.core_harness import REPOSITORY, CoreHarness
from tests.support.layouts import INDEX, MANIFEST


def push_index(world: CoreHarness, digest: str, **child: Any) -> str:
    """Push and sign an index of one child, of which it says what it is told to; return its digest."""
    described = {
        "mediaType": MANIFEST,
        "digest": digest,
        "size": len(world.layout.blobs[digest]),
        "platform": {"architecture": "amd64", "os": "linux"},
    }
    index = world.layout.add_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**described, **child}]})
    world.images.sign(index)
    return index


def announce(world: CoreHarness, digest: str) -> tuple[str, str]:
    """Announce an index; return what became of it, and why."""
    delivery_id = world.announce(ref=f"{REPOSITORY}@{digest}")
    return world.process(delivery_id), str(world.delivery(delivery_id).error_message)


@pytest.mark.parametrize("media_type", [INDEX, MANIFEST])
def test_an_index_within_an_index_is_rejected(world: CoreHarness, media_type: str) -> None:
    world.platform()
    inner = push_index(world, world.images.image())
    outcome, reason = announce(world, push_index(world, inner, mediaType=media_type))
    assert outcome == "failed"
    assert f"the index names another index, {inner}" in reason


@pytest.mark.parametrize("by", [-1, 1])
def test_a_child_of_another_size_than_the_index_says_is_rejected(world: CoreHarness, by: int) -> None:
    world.platform()
    child = world.images.image(sign=False)
    size = len(world.layout.blobs[child])
    outcome, reason = announce(world, push_index(world, child, size=size + by))
    assert outcome == "failed"
    assert f"the index says {size + by} bytes of {child}, which has {size}" in reason


def test_the_same_index_with_the_right_size_is_published(world: CoreHarness) -> None:
    world.platform()
    assert announce(world, push_index(world, world.images.image(sign=False)))[0] == "published"
