"""Which publication is the default, and what can be restored and pinned."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from bootpress.core.errors import Conflict, IllegalTransition
from bootpress.core.retention.purge import IN_USE, purge
from bootpress.core.retention.service import retire
from tests.support.retention_harness import RetentionHarness


def test_a_retired_publication_can_be_restored_before_its_purge(yard: RetentionHarness) -> None:
    first = yard.retire(yard.images.image())
    answer = yard.call("system_restore_disk_image_publication", publication_id=str(first))
    assert answer["publication"]["status"] == "published"
    assert answer["publication"]["retired_at"] is None
    assert len(yard.events("restored")) == 1
    again = yard.call("system_restore_disk_image_publication", publication_id=str(first))
    assert again == answer
    assert len(yard.events("restored")) == 1


def test_what_is_wanted_again_is_not_purged(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.retire(digest)
    yard.clock.advance(days=7)
    yard.call("system_pin_disk_image_publication", publication_id=str(first))
    assert purge(yard.context, first, actor="test") == IN_USE
    assert yard.sweep() == {"retired": [], "purged": [], "kept": []}
    assert yard.has(digest) == [True]


def test_only_a_published_publication_of_the_platform_becomes_its_default(yard: RetentionHarness) -> None:
    first = yard.retire(yard.images.image())
    with pytest.raises(Conflict, match="is retired; only a published one can be the default"):
        yard.make_default(first)
    published = yard.publish()
    yard.platform("other")
    with pytest.raises(Conflict, match="belongs to the platform edge, not to other"):
        yard.call("system_set_default_disk_image_publication", publication_id=str(published), node_platform_id="other")
    before = len(yard.events("promoted"))
    for _ in range(2):
        answer = yard.call(
            "system_set_default_disk_image_publication", publication_id=str(published), node_platform_id="edge"
        )
        assert answer["publication"]["is_default"]
    assert len(yard.events("promoted")) == before + 1
    assert yard.find_platform(yard.edge).default_publication_id == published


@pytest.mark.parametrize("status", ["queued", "verifying", "failed", "purged", "revoked"])
def test_only_a_retired_publication_can_be_restored_and_only_a_kept_one_pinned(
    yard: RetentionHarness, status: str
) -> None:
    publication_id = yard.publish()
    yard.set_fields(publication_id, status=status)
    with pytest.raises(IllegalTransition, match=f"that is {status} cannot become published"):
        yard.call("system_restore_disk_image_publication", publication_id=str(publication_id))
    with pytest.raises(Conflict, match=f"is {status} and cannot be pinned"):
        yard.call("system_pin_disk_image_publication", publication_id=str(publication_id))


def test_default_and_retention_at_once_never_lock_each_other_out(yard: RetentionHarness) -> None:
    ids = [yard.publish() for _ in range(6)]
    with ThreadPoolExecutor(12) as pool:
        moves = [pool.submit(_try_default, yard, publication_id) for publication_id in ids * 2]
        sweeps = [pool.submit(retire, yard.context, yard.edge, actor="test") for _ in range(6)]
        outcomes = [move.result() for move in moves]
        retired = [one for sweep in sweeps for one in sweep.result()[0]]
    assert set(outcomes) <= {"moved", "refused"}
    default_id = yard.find_platform(yard.edge).default_publication_id
    assert yard.publication(default_id).status == "published"
    assert len(retired) == len(set(retired))


def _try_default(yard: RetentionHarness, publication_id: UUID) -> str:
    try:
        yard.make_default(publication_id)
    except Conflict:
        return "refused"
    return "moved"
