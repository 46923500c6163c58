"""Retention against real registries: what is retired, protected, purged, and what a purge leaves alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from bootpress.adapters.oci.limits import Limits
from bootpress.adapters.oci.manifests import OCI_INDEX, OCI_MANIFEST
from bootpress.core.errors import Conflict, RegistryUnavailable
from bootpress.core.ports import RegistryConnection
from tests.support.core_harness import SingleRegistryFactory
from tests.support.ports import free_port
from tests.support.publishing_harness import PublishingHarness, SignedRepository
from tests.support.registries import RunningRegistry
from tests.support.registry import running_registry

pytestmark = pytest.mark.part("docker-registry")


def on(*places: tuple[str, str]) -> pytest.MarkDecorator:
    """Run a test on these databases with these kinds of registry, in place of both databases with docker-registry."""
    return pytest.mark.parametrize(("catalog_url", "shelf"), places, indirect=True)


ON_TAGS = (("sqlite", "docker-registry"), ("postgresql", "docker-registry"), ("sqlite", "gitea"))
"""Where signatures lie at the fallback tag."""
everywhere = on(*ON_TAGS, ("sqlite", "referrers"))


@pytest.fixture
def shelf(
    request: pytest.FixtureRequest, open_registry: Callable[[str], RunningRegistry], tmp_path: Path
) -> Iterator[SignedRepository]:
    place = open_registry(getattr(request, "param", "docker-registry"))
    shelf = SignedRepository(place.connection, tmp_path)
    yield shelf
    shelf.registries.close()


@pytest.fixture
def keeper(catalog_url: str, shelf: SignedRepository) -> Iterator[PublishingHarness]:
    keeper = PublishingHarness(catalog_url, shelf)
    yield keeper
    keeper.catalog.close()


def test_what_lies_beyond_the_count_is_retired_oldest_first(keeper: PublishingHarness) -> None:
    keeper.call("system_set_disk_image_retention", node_platform_id="edge", retention_count=2)
    ids = [keeper.press() for _ in range(5)]
    keeper.make_default(ids[-1])
    preview = keeper.call("system_preview_disk_image_retention", node_platform_id="edge")
    assert preview["keep"] == [str(ids[4]), str(ids[3])]
    assert keeper.sweep()["retired"] == preview["retire"] == [str(ids[2]), str(ids[1]), str(ids[0])]
    assert [keeper.publication(one).status for one in ids] == ["retired"] * 3 + ["published"] * 2
    assert keeper.sweep() == {"retired": [], "purged": [], "kept": []}
    swept = [event.payload["publication_id"] for event in keeper.events("retention_swept")]
    assert swept == preview["retire"] == [event.payload["publication_id"] for event in keeper.events("retired")]


def test_the_default_and_what_is_pinned_are_kept_beyond_the_count(keeper: PublishingHarness) -> None:
    default, pinned, newest = keeper.press(), keeper.press(), keeper.press()
    keeper.call("system_pin_disk_image_publication", publication_id=str(pinned))
    preview = keeper.call("system_preview_disk_image_retention", node_platform_id="edge")
    assert preview == {
        "keep": [str(newest)],
        "retire": [],
        "purge": [],
        "protected": [
            {"publication_id": str(pinned), "because": "pinned"},
            {"publication_id": str(default), "because": "default"},
        ],
    }
    assert keeper.sweep()["retired"] == []
    keeper.call("system_unpin_disk_image_publication", publication_id=str(pinned))
    assert keeper.sweep()["retired"] == [str(pinned)]


@everywhere
def test_a_retired_publication_is_purged_after_seven_days_and_not_before(keeper: PublishingHarness) -> None:
    first, digest = keeper.retired()
    signatures, tag = keeper.shelf.signatures(digest), f"sha256-{digest[7:]}"
    assert len(signatures) == 1
    keeper.clock.advance(days=7, seconds=-1)
    assert keeper.sweep()["purged"] == []
    assert keeper.shelf.has(digest) == [True]
    keeper.clock.advance(seconds=1)
    assert keeper.sweep() == {"retired": [], "purged": [str(first)], "kept": []}
    assert keeper.shelf.has(digest, *signatures, tag) == [False] * 3
    publication = keeper.publication(first)
    assert (publication.status, publication.purged_at) == ("purged", keeper.clock.now())
    assert [event.payload["action"] for event in keeper.events("retention_swept")] == ["retired", "purged"]
    assert keeper.steps() == []


@everywhere
def test_a_purge_deletes_an_indexs_children_and_cosign_2_signatures(keeper: PublishingHarness) -> None:
    children = [keeper.shelf.push(sign=False), keeper.shelf.push(sign=False)]
    digest = keeper.shelf.push_index(children)
    legacy = keeper.shelf.attach(digest)
    first = keeper.press(digest)
    keeper.make_default(keeper.press())
    keeper.sweep()
    keeper.clock.advance(days=7)
    assert keeper.sweep()["purged"] == [str(first)]
    assert keeper.shelf.has(digest, *children, legacy) == [False] * 4


@everywhere
def test_a_child_that_two_indexes_share_outlives_the_first(keeper: PublishingHarness) -> None:
    shared, other, third = (keeper.shelf.push(sign=False) for _ in range(3))
    digest = keeper.shelf.push_index([other, shared])
    signatures = keeper.shelf.signatures(digest)
    first = keeper.press(digest)
    keeper.make_default(keeper.press(keeper.shelf.push_index([third, shared])))
    keeper.sweep()
    keeper.clock.advance(days=7)
    assert keeper.sweep()["purged"] == [str(first)]
    assert keeper.shelf.has(digest, other, *signatures, shared) == [False, False, False, True]


@everywhere
@pytest.mark.parametrize("whose", ["the same account", "another account"])
def test_what_another_platform_published_is_left_alone_with_its_signature(
    keeper: PublishingHarness, whose: str
) -> None:
    first, digest = keeper.retired()
    caller = keeper.caller if whose == "the same account" else keeper.new_caller("rival")
    keeper.make_platform("other", caller=caller)
    if caller is not keeper.caller:
        made = keeper.call("provision_disk_image_webhook", caller, label="ci")
        keeper.webhook_id, keeper.secret = UUID(made["webhook_id"]), made["webhook_secret"]
    second = keeper.press(digest, slug="other")
    keeper.clock.advance(days=7)
    assert keeper.sweep()["purged"] == [str(first)]
    assert keeper.shelf.has(digest) == [True]
    assert len(keeper.shelf.signatures(digest)) == 1
    assert keeper.publication(second).status == "published"
    assert keeper.publication(first).status == "purged"


@everywhere
def test_a_fallback_index_that_lists_a_foreign_signature_does_not_get_it_deleted(keeper: PublishingHarness) -> None:
    _, digest = keeper.retired()
    victim = keeper.shelf.push()
    keeper.press(victim)
    [signature] = keeper.shelf.signatures(victim)
    listed = f'{{"mediaType":"{OCI_MANIFEST}","digest":"{signature}","size":{keeper.shelf.size(signature)}}}'
    index = f'{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{listed}]}}'.encode()
    tag = f"sha256-{digest[7:]}"
    keeper.shelf.pusher.push_manifest(keeper.shelf.repository, index, media_type=OCI_INDEX, tag=tag)
    keeper.clock.advance(days=7)
    assert len(keeper.sweep()["purged"]) == 1
    assert keeper.shelf.has(signature) == [True]
    assert keeper.shelf.has(digest) == [False]


@on(*ON_TAGS)
def test_referrers_that_cannot_be_read_keep_the_image_and_let_it_be_restored(keeper: PublishingHarness) -> None:
    first, digest = keeper.retired()
    keeper.shelf.push(sign=False, tag=f"sha256-{digest[7:]}")
    keeper.clock.advance(days=7)
    [kept] = keeper.sweep()["kept"]
    assert kept["publication_id"] == str(first)
    assert keeper.shelf.has(digest) == [True]
    keeper.call("system_restore_disk_image_publication", publication_id=str(first))
    assert keeper.publication(first).status == "published"


def test_a_registry_that_cannot_delete_keeps_the_bytes_and_says_so(catalog_url: str, tmp_path: Path) -> None:
    port = free_port()
    with running_registry(tmp_path / "registry", port=port, delete=False) as host:
        shelf = SignedRepository(RegistryConnection("default", host), tmp_path)
        keeper = PublishingHarness(catalog_url, shelf)
        first, digest = keeper.retired()
        keeper.clock.advance(days=7)
        because = "the registry does not support deletion"
        for _ in range(2):
            answer = keeper.sweep()
            assert answer["kept"] == [{"publication_id": str(first), "because": because}]
        assert keeper.publication(first).status == "retired"
        # Another platform may announce it meanwhile, and its own may bring it back.
        keeper.make_platform("other")
        keeper.press(digest, slug="other")
        keeper.call("system_restore_disk_image_publication", publication_id=str(first))
        keeper.sweep()
    with running_registry(tmp_path / "registry", port=port):
        keeper.clock.advance(days=7)
        assert keeper.sweep()["purged"] == [str(first)]
    shelf.registries.close()
    keeper.catalog.close()


@on(*ON_TAGS)
@pytest.mark.parametrize("after", range(3))
def test_an_interrupted_purge_goes_on_where_it_was(catalog_url: str, shelf: SignedRepository, after: int) -> None:
    keeper = PublishingHarness(catalog_url, shelf, registries=SingleRegistryFactory(shelf.registry))
    first, digest = keeper.retired()
    keeper.clock.advance(days=7)
    shelf.registry.left = after
    with pytest.raises(RegistryUnavailable):
        keeper.sweep()
    planned = [step.digest for step in keeper.steps()]
    assert len(planned) == 3
    with pytest.raises(Conflict, match="is being purged since"):
        keeper.call("system_restore_disk_image_publication", publication_id=str(first))
    with pytest.raises(Conflict, match="is being purged"):
        keeper.call("system_pin_disk_image_publication", publication_id=str(first))
    keeper.make_platform("other")
    assert keeper.process(keeper.announce(slug="other", ref=shelf.repository.at(digest))) == "postponed"
    shelf.registry.left = 1000
    assert keeper.sweep()["purged"] == [str(first)]
    assert shelf.registry.asked == planned
    assert shelf.has(*planned) == [False] * 3
    keeper.catalog.close()


def test_a_registry_that_is_away_leaves_retired_what_was_retired(catalog_url: str, tmp_path: Path) -> None:
    with running_registry(tmp_path / "registry") as host:
        shelf = SignedRepository(RegistryConnection("default", host), tmp_path, limits=Limits(tries=1))
        keeper = PublishingHarness(catalog_url, shelf)
        first, _ = keeper.retired()
        second = keeper.press()
    keeper.clock.advance(days=7)
    with pytest.raises(RegistryUnavailable):
        keeper.sweep()
    assert keeper.publication(first).status == "retired"
    assert keeper.publication(second).status == "published"
    shelf.registries.close()
    keeper.catalog.close()
