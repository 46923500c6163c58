"""A platform whose images lie elsewhere now: the same digest is read, verified and published from there, or fails."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from bootpress.core.deliveries.models import Delivery
from bootpress.core.errors import Conflict, RegistryUnavailable
from bootpress.core.ports import Registry, RegistryConnection
from bootpress.core.pruning import service as pruning
from bootpress.core.publications import completion, ingest
from bootpress.core.publications.models import Publication
from tests.support.core_harness import HOST, REPOSITORY, CoreHarness
from tests.support.layouts import LayoutRegistry
from tests.support.retention_harness import RetentionHarness

OTHER = "127.0.0.1:5001"
THERE = f"{OTHER}/os/images"


class ByHost:
    """The port Registries where each host has a layout of its own."""

    def __init__(self) -> None:
        self.layouts: dict[str, LayoutRegistry] = {}

    def open(self, connection: RegistryConnection) -> Registry:
        return self.layouts[connection.host]


class Removal(CoreHarness):
    """A world of two registries, `layout` and `there`, whose platform `edge` moves from one to the other."""

    def __init__(self, url: str) -> None:
        registries = ByHost()
        super().__init__(url, registries=registries)
        self.there = LayoutRegistry()
        registries.layouts = {HOST: self.layout, OTHER: self.there}
        self.edge = self.platform()
        self.digest = self.images.image()

    def move(self, *, copy: bool = True) -> None:
        """Say that the images lie there now, and empty the old registry; with all that was in it, or nothing."""
        if copy:
            self.there.blobs, self.there.tags = dict(self.layout.blobs), dict(self.layout.tags)
        self.layout.blobs, self.layout.tags = {}, {}
        self.call("system_update_node_platform", id="edge", oci_repository=THERE)

    def announce_there(self) -> UUID:
        return self.announce(ref=f"{THERE}:v2", oci_digest=self.digest, git_sha="moved")

    def put(self, publication_id: UUID, **values: object) -> None:
        with self.catalog.transaction() as session:
            row = session.get_one(Publication, publication_id)
            for name, value in values.items():
                setattr(row, name, value)


@pytest.fixture
def removal(catalog_url: str) -> Iterator[Removal]:
    """Return a world on each database."""
    removal = Removal(catalog_url)
    yield removal
    removal.catalog.close()


@pytest.mark.parametrize("status", ["published", "retired", "purged", "failed"])
def test_the_same_digest_is_published_from_where_it_lies_now(removal: Removal, status: str) -> None:
    publication_id = removal.publish(digest=removal.digest)
    removal.put(publication_id, status=status, retired_at=removal.clock.now())
    removal.move()
    delivery_id = removal.announce_there()
    assert removal.process(delivery_id) == "published"
    row, platform = removal.publication(publication_id), removal.find_platform(removal.edge)
    assert (row.status, row.repository, row.oci_ref, row.git_sha) == ("published", THERE, f"{THERE}:v2", "moved")
    assert (row.retired_at, row.error_message) == (None, None)
    assert platform.disk_image_oci_ref == f"{THERE}@{removal.digest}"
    assert platform.disk_image_publication_status == "published"
    assert platform.default_publication_id == publication_id
    assert removal.delivery(delivery_id).status == "done"
    assert [event.payload["oci_ref"] for event in removal.events("published")][-1] == f"{THERE}:v2"
    assert removal.call("system_set_default_disk_image_publication", publication_id=str(publication_id))


@pytest.mark.parametrize("status", ["published", "retired"])
def test_what_is_not_there_fails_and_stays_as_it_was(removal: Removal, status: str) -> None:
    publication_id = removal.publish(digest=removal.digest)
    removal.put(publication_id, status=status)
    before = removal.publication(publication_id)
    removal.move(copy=False)
    delivery_id = removal.announce_there()
    assert removal.process(delivery_id) == "failed"
    after = removal.publication(publication_id)
    assert removal.delivery(delivery_id).status == "failed"
    assert "is not there" in str(removal.delivery(delivery_id).error_message)
    assert (after.status, after.repository, after.cosign_verified) == (status, REPOSITORY, True)
    assert (after.published_at, after.published_sequence) == (before.published_at, before.published_sequence)
    assert removal.find_platform(removal.edge).disk_image_oci_ref == f"{REPOSITORY}@{removal.digest}"


def test_without_a_signature_there_the_old_one_counts_for_nothing(removal: Removal) -> None:
    removal.publish(digest=removal.digest)
    removal.move()
    removal.there.tags.clear()
    assert removal.process(removal.announce_there()) == "failed"


def test_a_revoked_digest_fails_wherever_it_is_announced(removal: Removal) -> None:
    publication_id = removal.publish(digest=removal.digest)
    removal.put(publication_id, status="revoked")
    removal.move()
    delivery_id = removal.announce_there()
    assert removal.process(delivery_id) == "failed"
    assert f"publication {publication_id}, which is revoked" in str(removal.delivery(delivery_id).error_message)
    assert removal.publication(publication_id).repository == REPOSITORY


def test_what_is_being_purged_where_it_was_is_waited_for(removal: Removal) -> None:
    publication_id = removal.publish(digest=removal.digest)
    removal.put(publication_id, status="retired", purge_begun_at=removal.clock.now())
    removal.move()
    delivery_id = removal.announce_there()
    assert removal.process(delivery_id) == "postponed"
    removal.put(publication_id, status="purged", purge_begun_at=None)
    assert removal.process(delivery_id) == "published"
    assert removal.publication(publication_id).repository == THERE


@pytest.mark.parametrize(
    "meanwhile", [{"status": "revoked"}, {"status": "retired", "purge_begun_at": "now"}, {"status": "purged"}]
)
def test_what_happens_to_it_while_it_is_verified_anew_is_not_undone(
    removal: Removal, meanwhile: dict[str, str]
) -> None:
    publication_id = removal.publish(digest=removal.digest)
    removal.move()
    attempt_id = removal.begin(removal.announce_there())
    ingest.resolve(removal.context, attempt_id)
    for step in ingest.STEPS:
        step(removal.context, attempt_id)
    removal.put(
        publication_id, **{name: removal.clock.now() if value == "now" else value for name, value in meanwhile.items()}
    )
    with pytest.raises(Conflict) as refusal:
        completion.publish(removal.context, attempt_id)
    assert completion.finish_with_error(removal.context, attempt_id, refusal.value) == "postponed"
    row = removal.publication(publication_id)
    assert (row.status, row.repository) == (meanwhile["status"], REPOSITORY)


def test_a_platform_that_moves_back_meanwhile_publishes_nothing_from_there(removal: Removal) -> None:
    publication_id = removal.publish(digest=removal.digest)
    removal.move()
    delivery_id = removal.announce_there()
    attempt_id = removal.begin(delivery_id)
    ingest.resolve(removal.context, attempt_id)
    for step in ingest.STEPS:
        step(removal.context, attempt_id)
    removal.call("system_update_node_platform", id="edge", oci_repository=REPOSITORY)
    with pytest.raises(Conflict) as refusal:
        completion.publish(removal.context, attempt_id)
    completion.finish_with_error(removal.context, attempt_id, refusal.value)
    assert removal.publication(publication_id).repository == REPOSITORY
    assert removal.process(delivery_id) == "failed"  # it names another repository than the platform's


def test_of_two_announcements_there_one_verifies_and_the_other_waits(removal: Removal) -> None:
    removal.publish(digest=removal.digest)
    removal.move()
    attempt_id = removal.begin(removal.announce_there())
    ingest.resolve(removal.context, attempt_id)
    second = removal.announce(ref=f"{THERE}@{removal.digest}")
    with pytest.raises(RegistryUnavailable, match="is being verified for another delivery"):
        ingest.resolve(removal.context, removal.begin(second))
    assert removal.work(attempt_id) == "published"


def test_a_failed_one_is_retried_where_the_platforms_images_lie_now(removal: Removal) -> None:
    unsigned = removal.images.image(sign=False)
    assert removal.process(removal.announce(ref=f"{REPOSITORY}@{unsigned}")) == "failed"
    [publication] = removal.publications()
    removal.images.sign(unsigned)
    removal.move()
    answer = removal.call("system_retry_disk_image_publication", publication_id=str(publication.id))
    removal.clock.advance(minutes=2)
    assert removal.process(UUID(answer["delivery_id"])) == "published"
    assert removal.publication(publication.id).repository == THERE


def test_a_purge_keeps_what_is_verified_anew_in_its_repository(yard: RetentionHarness) -> None:
    digest, far = yard.images.image(), f"{HOST}/os/far"
    yard.platform("far", oci_repository=far)
    assert yard.process(yard.announce(slug="far", ref=f"{far}@{digest}")) == "published"
    yard.due(digest)
    yard.call("system_update_node_platform", id="far", oci_repository=REPOSITORY)
    attempt_id = yard.begin(yard.announce(slug="far", ref=f"{REPOSITORY}@{digest}"))
    ingest.resolve(yard.context, attempt_id)
    yard.sweep(node_platform_id="edge")
    assert yard.has(digest) == [True]
    assert yard.work(attempt_id) == "published"


@pytest.mark.parametrize("was_elsewhere", [True, False])
def test_a_purge_keeps_what_is_to_be_verified_again_in_its_repository(
    yard: RetentionHarness, *, was_elsewhere: bool
) -> None:
    digest, far = yard.images.image(), f"{HOST}/os/far"
    yard.due(digest)
    yard.platform("far", oci_repository=far if was_elsewhere else REPOSITORY)
    if was_elsewhere:
        assert yard.process(yard.announce(slug="far", ref=f"{far}@{digest}")) == "published"
        yard.call("system_update_node_platform", id="far", oci_repository=REPOSITORY)
    delivery_id = yard.announce(slug="far", ref=f"{REPOSITORY}@{digest}")
    with yard.registry_away(digest):
        assert yard.process(delivery_id) == "postponed"
    yard.sweep(node_platform_id="edge")
    assert yard.has(digest) == [True]
    assert yard.process(delivery_id) == "published"


def test_the_delivery_that_proves_what_is_published_outlives_one_that_fails_after_it(removal: Removal) -> None:
    proving = removal.announce(ref=f"{REPOSITORY}@{removal.digest}")
    assert removal.process(proving) == "published"
    removal.move(copy=False)
    assert removal.process(removal.announce_there()) == "failed"
    for _ in range(3):
        removal.clock.advance(days=60)
        pruning.prune(removal.context, pause=lambda _: None)
    with removal.catalog.read_session() as session:
        assert session.get(Delivery, proving) is not None
