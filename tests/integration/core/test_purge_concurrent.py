"""Several sweeps at one publication: one does the work, and one that fell behind deletes nothing."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from bootpress.core.errors import Conflict, RegistryUnavailable
from bootpress.core.ports import DeleteResult
from bootpress.core.retention.deletion_steps import DELETE_TIMEOUT
from bootpress.core.retention.purge import BUSY, purge
from tests.support.attachments import SBOM
from tests.support.retention_harness import RetentionHarness


def falls_behind(yard: RetentionHarness, publication_id: UUID, meanwhile: Callable[[], object]) -> str | None:
    """Purge; between the answer to the first delete and what follows, so much time passes that it counts as dead."""

    def elsewhere() -> None:
        yard.clock.advance(seconds=DELETE_TIMEOUT.total_seconds() + 1)
        meanwhile()

    yard.registry.before["deleted"] = elsewhere
    return purge(yard.context, publication_id, actor="behind")


def test_while_a_delete_is_under_way_another_sweep_leaves_the_plan_alone(yard: RetentionHarness) -> None:
    digest = yard.images.index({"amd64": yard.images.image(sign=False)})
    first = yard.due(digest)
    beside: list[str | None] = []
    asked: list[list[str]] = []

    def sweep_beside() -> None:
        beside.append(purge(yard.context, first, actor="beside"))
        asked.append(list(yard.registry.asked))
        assert yard.steps()[digest] == "deleting"

    yard.registry.before["delete"] = sweep_beside
    assert purge(yard.context, first, actor="test") is None
    assert (beside, asked) == ([BUSY], [[]])
    assert yard.publication(first).status == "purged"
    actions = [event.payload["action"] for event in yard.events("retention_swept")]
    assert actions.count("purged") == 1


def test_a_sweep_that_fell_behind_deletes_nothing_of_what_was_published_again(yard: RetentionHarness) -> None:
    child = yard.images.image(sign=False)
    digest = yard.images.index({"amd64": child})
    first = yard.due(digest)
    blobs, tags = dict(yard.registry.blobs), dict(yard.registry.tags)

    def finish_and_publish_again() -> None:
        assert purge(yard.context, first, actor="beside") is None
        yard.registry.blobs.update(blobs)
        yard.registry.tags.update(tags)
        assert yard.publish(digest=digest) == first
        yard.registry.asked.clear()

    assert falls_behind(yard, first, finish_and_publish_again) == BUSY
    assert yard.registry.asked == []
    assert yard.publication(first).status == "published"
    assert yard.has(digest, child) == [True, True]


def test_a_sweep_takes_up_no_step_of_a_plan_that_is_over(yard: RetentionHarness) -> None:
    digest, other = yard.images.image(), yard.images.image()
    sbom = yard.attach(f"{digest.replace(':', '-')}.sbom", SBOM, b"{}")
    first = yard.retire(digest)
    yard.publish(digest=other)
    yard.clock.advance(days=7)
    blobs, tags = dict(yard.registry.blobs), dict(yard.registry.tags)

    def finish_and_publish_again() -> None:
        assert purge(yard.context, first, actor="beside") is None
        yard.registry.blobs.update(blobs)
        yard.registry.tags.update(tags)
        assert yard.publish(digest=digest) == first
        yard.registry.asked.clear()

    # Nothing of it is under way while it looks who else has the SBOM.
    looks = f"{other.replace(':', '-')}.sbom"
    yard.registry.before["deleted"] = lambda: yard.registry.before.update({looks: finish_and_publish_again})
    assert purge(yard.context, first, actor="behind") == BUSY
    assert yard.registry.asked == []
    assert yard.has(digest, sbom) == [True, True]


def test_what_one_sweep_may_not_delete_cannot_be_restored_while_another_asks(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.due(digest)
    beside: list[str | None] = []

    def try_and_restore() -> None:
        yard.registry.answers["*"] = DeleteResult.REFUSED
        beside.append(purge(yard.context, first, actor="beside"))
        yard.registry.answers.clear()  # the credential was mended
        with pytest.raises(Conflict, match="is being purged"):
            yard.restore(first)

    yard.registry.before["delete"] = try_and_restore
    assert purge(yard.context, first, actor="test") is None
    assert beside == [BUSY]
    assert yard.publication(first).status == "purged"


def test_a_refusal_lets_nothing_be_restored_that_another_sweep_is_deleting(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.due(digest)
    yard.registry.answers[digest] = DeleteResult.REFUSED
    beside: list[str | None] = []

    def take_up_again() -> None:
        # The first sweep was told no, and looks whether the image is there: another asks again, and waits.
        yard.registry.answers[digest] = None
        with pytest.raises(RegistryUnavailable):
            purge(yard.context, first, actor="beside")
        beside.append(yard.steps()[digest])

    yard.registry.before["deleted"] = lambda: yard.registry.before.update({digest: take_up_again})
    assert "refuses" in str(purge(yard.context, first, actor="test"))
    assert beside == ["deleting"]
    assert yard.steps()[digest] == "deleting"
    assert yard.publication(first).purge_begun_at is not None


def test_a_delete_whose_sweep_died_is_taken_up_when_it_can_be_under_way_no_more(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.due(digest)

    def die() -> None:
        raise KeyboardInterrupt

    yard.registry.before["delete"] = die
    with pytest.raises(KeyboardInterrupt):
        purge(yard.context, first, actor="dead")
    assert yard.steps()[digest] == "deleting"
    assert purge(yard.context, first, actor="test") == BUSY
    yard.clock.advance(seconds=DELETE_TIMEOUT.total_seconds() + 1)
    assert purge(yard.context, first, actor="test") is None
    assert yard.has(digest) == [False]
