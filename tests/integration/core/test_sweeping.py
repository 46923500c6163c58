"""A sweep of many platforms: what fails on one stops no other, and is said at the end."""

from __future__ import annotations

from uuid import UUID

import pytest

from bootpress.core.errors import CatalogUnavailable, NotFound, RegistryUnavailable
from bootpress.core.ports import RegistryConnection
from bootpress.core.retention import service
from bootpress.core.retention.sweep import sweep_platform
from tests.support.core_harness import HOST
from tests.support.retention_harness import RetentionHarness


def test_a_platform_whose_registry_is_away_keeps_no_other_from_its_sweep(yard: RetentionHarness) -> None:
    yard.connections.save_registry(yard.account_id, RegistryConnection("mine", HOST))
    yard.platform("a-broken", retention_count=1, registry="mine")
    broken = yard.retire(yard.images.image(), slug="a-broken")
    due = yard.retire(yard.images.image())
    yard.clock.advance(days=7)
    yard.connections.save_registry(yard.account_id, RegistryConnection("mine", "elsewhere.example"))
    beyond = yard.publish()
    yard.make_default(yard.publish())
    with pytest.raises(RegistryUnavailable, match=f"publication {broken} could not be purged: .*'mine'") as failure:
        yard.sweep()
    assert "2 were retired and 1 purged" in str(failure.value)
    assert yard.publication(due).status == "purged"
    assert yard.publication(beyond).status == "retired"
    assert yard.publication(broken).status == "retired"
    yard.connections.save_registry(yard.account_id, RegistryConnection("mine", HOST))
    assert yard.sweep()["purged"] == [str(broken)]


def test_one_publication_that_cannot_be_purged_keeps_no_other_from_it(yard: RetentionHarness) -> None:
    digests = [yard.images.image() for _ in range(3)]
    ids = [yard.publish(digest=digest) for digest in digests]
    yard.make_default(yard.publish())
    yard.sweep()
    yard.clock.advance(days=7)
    yard.registry.answers[digests[1]] = None
    report = sweep_platform(yard.context, yard.edge, actor="test")
    assert set(report.purged) == {ids[0], ids[2]}
    assert [(one.publication_id, one.because) for one in report.failed] == [(ids[1], "it fell silent")]
    assert report.kept == ()


def test_a_sweep_of_a_platform_that_nobody_has_is_refused(yard: RetentionHarness) -> None:
    with pytest.raises(NotFound, match="no node platform 'nobody'"):
        service.platforms_to_sweep(yard.context, account_id=None, platform="nobody")
    assert service.platforms_to_sweep(yard.context, account_id=None, platform="edge") == [yard.edge]
    assert service.platforms_to_sweep(yard.context, account_id=None, platform=None) == [yard.edge]


def test_a_slug_that_two_accounts_have_is_swept_for_both(yard: RetentionHarness) -> None:
    theirs: UUID = yard.platform("edge", caller=yard.new_caller("rival"))
    assert set(service.platforms_to_sweep(yard.context, account_id=None, platform="edge")) == {yard.edge, theirs}


def test_a_database_that_is_away_ends_the_sweep(yard: RetentionHarness) -> None:
    yard.due(yard.images.image())

    def vanish() -> None:
        raise CatalogUnavailable("the database does not answer")

    yard.registry.before["list"] = vanish
    with pytest.raises(CatalogUnavailable):
        sweep_platform(yard.context, yard.edge, actor="test")
