"""One registry under several names: what is needed under any of them is kept, and other registries hold up nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from bootpress.adapters.oci.manifests import OCI_MANIFEST
from bootpress.adapters.oci.push import Layer
from bootpress.core.errors import ContentRejected, RegistryDenied, RegistryUnavailable, RegistryUnreachable
from bootpress.core.ports import DeleteResult, Descriptor, Registry, RegistryConnection
from bootpress.core.publications import ingest
from bootpress.core.publications.models import Publication
from bootpress.core.references import Repository
from bootpress.core.retention.deletion_steps import DELETE_TIMEOUT
from bootpress.core.retention.models import DeletionStep
from bootpress.core.retention.purge import purge
from bootpress.core.retention.usage import MAX_REPOSITORIES, find_needs
from tests.support.attachments import SBOM
from tests.support.core_harness import REPOSITORY
from tests.support.forwarder import running_forwarder
from tests.support.layouts import LayoutRegistry
from tests.support.publishing_harness import PublishingHarness, SignedRepository
from tests.support.registries import KINDS, RunningRegistry, running
from tests.support.registry import running_registry
from tests.support.retention_harness import AnsweringRegistry, RetentionHarness

INNER = "registry.internal:5000/os/images"


class Named:
    """The port Registries where each host has a registry of its own, unless it is told to lead to another's."""

    def __init__(self) -> None:
        self.by_host: dict[str, AnsweringRegistry] = {}

    def open(self, connection: RegistryConnection) -> Registry:
        return self.by_host[connection.host]


class Town(RetentionHarness):
    """A yard whose second platform calls its registry otherwise; whether it is the same one, a test decides."""

    def __init__(self, url: str) -> None:
        self.named = Named()
        super().__init__(url, registries=self.named)
        self.named.by_host["127.0.0.1:5000"] = self.registry

    def call_it(self, repository: str, registry: AnsweringRegistry | None = None) -> None:
        """Make the platform `other`, whose repository is this one; its registry is ours unless another is given."""
        self.named.by_host[repository.partition("/")[0]] = registry or self.registry
        self.platform("other", oci_repository=repository, retention_count=1)

    def publish_there(self, digest: str, repository: str) -> UUID:
        delivery_id = self.announce(slug="other", ref=f"{repository}@{digest}")
        assert self.process(delivery_id) == "published", self.delivery(delivery_id).error_message
        publication_id = self.delivery(delivery_id).publication_id
        assert publication_id is not None
        return publication_id


@pytest.fixture
def town(catalog_url: str) -> Iterator[Town]:
    town = Town(catalog_url)
    yield town
    town.catalog.close()


def copy_of(registry: LayoutRegistry) -> AnsweringRegistry:
    copy = AnsweringRegistry()
    copy.blobs, copy.tags = dict(registry.blobs), dict(registry.tags)
    return copy


@pytest.mark.parametrize("name", ["localhost:5000", "127.0.0.2:5000", "[::1]:5000", "registry.localhost:5000"])
def test_what_is_needed_under_another_name_of_this_machine_is_kept_without_a_question(town: Town, name: str) -> None:
    digest = town.images.image()
    first = town.retire(digest)
    town.call_it(f"{name}/os/images")
    second = town.publish_there(digest, f"{name}/os/images")
    town.clock.advance(days=7)
    stored = set(town.registry.blobs)
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert set(town.registry.blobs) == stored
    assert town.publication(second).status == "published"


@pytest.mark.parametrize("part", ["image", "child"])
def test_what_is_needed_under_a_name_that_leads_to_the_same_registry_is_kept(town: Town, part: str) -> None:
    digest = town.images.image()
    first = town.retire(digest)
    town.call_it(INNER)
    town.publish_there(digest if part == "image" else town.images.index({"amd64": digest}), INNER)
    town.clock.advance(days=7)
    stored = set(town.registry.blobs)
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert town.has(digest) == [True]
    assert set(town.registry.blobs) == stored  # the proof leaves nothing behind


def test_what_another_registry_has_too_is_deleted_here(town: Town) -> None:
    digest = town.images.image()
    first = town.retire(digest)
    other = copy_of(town.registry)
    town.call_it(INNER, other)
    town.publish_there(digest, INNER)
    town.clock.advance(days=7)
    stored = set(other.blobs)
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert town.has(digest) == [False]
    assert set(other.blobs) == stored


def test_what_the_other_name_does_not_show_is_kept_as_long_as_it_is_needed_there(town: Town) -> None:
    """Registries answer 404 too where a credential may not see what is there."""
    digest = town.images.image()
    first = town.retire(digest)
    other = copy_of(town.registry)
    town.call_it(INNER, other)
    town.publish_there(digest, INNER)
    other.blobs.clear()
    town.clock.advance(days=7)
    report = town.sweep(node_platform_id="edge")
    assert report["purged"] == []
    assert [kept["publication_id"] for kept in report["kept"]] == [str(first)]
    assert "does not serve it, or not to our credential" in report["kept"][0]["because"]
    assert town.has(digest) == [True]


@pytest.mark.parametrize("is_same", [True, False])
@pytest.mark.parametrize("trouble", ["silent", "silent to the proof", "no uploads"])
def test_what_cannot_be_told_is_kept_and_both_names_are_said(town: Town, trouble: str, *, is_same: bool) -> None:
    digest = town.images.image()
    first = town.retire(digest)
    other = town.registry if is_same else copy_of(town.registry)
    town.call_it(INNER, other)
    town.publish_there(digest, INNER)
    town.clock.advance(days=7)
    shut = copy_of(other)
    shut.away = {"silent": {digest, "check"}, "silent to the proof": {"blob"}, "no uploads": set()}[trouble]
    town.named.by_host["registry.internal:5000"] = shut
    town.registry.read_only = trouble == "no uploads"
    [kept] = town.sweep(node_platform_id="edge")["kept"]
    assert kept["publication_id"] == str(first)
    assert INNER in kept["because"]
    assert REPOSITORY in kept["because"]
    assert town.has(digest) == [True]
    # It can be restored; and when it can be told, the next sweep goes on.
    assert town.publication(first).purge_begun_at is None
    assert town.steps() == {}
    town.named.by_host["registry.internal:5000"] = other
    town.registry.read_only = False
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert town.has(digest) == [is_same]


@pytest.mark.parametrize("can_be_told", [True, False])
def test_two_that_are_both_retired_do_not_keep_each_other_for_ever(town: Town, *, can_be_told: bool) -> None:
    digest = town.images.image()
    town.call_it(INNER)
    first = town.retire(digest)
    second = town.publish_there(digest, INNER)
    town.clock.advance(minutes=1)
    town.make_default(town.publish_there(town.images.image(), INNER))
    town.sweep(node_platform_id="other")
    assert town.publication(second).status == "retired"
    town.clock.advance(days=7)
    town.registry.read_only = not can_be_told
    report = town.sweep(node_platform_id="edge")
    assert town.publication(first).status == "purged"
    assert town.has(digest) == [True]
    assert [digest in one["because"] for one in report["kept"]] == [] if can_be_told else [True]
    assert town.sweep(node_platform_id="other")["purged"] == [str(second)]
    assert town.has(digest) == [False]


def test_of_another_account_no_more_is_said_than_what_it_calls_the_repository(town: Town) -> None:
    rival = town.new_caller("rival")
    digest = town.images.image()
    town.retire(digest)
    town.named.by_host["registry.internal:5000"] = town.registry
    town.platform("secret-plans", caller=rival, oci_repository=INNER)
    made = town.call("provision_disk_image_webhook", rival, label="ci")
    body = town.body(slug="secret-plans", ref=f"{INNER}@{digest}")
    receipt = town.post(body, webhook_id=UUID(made["webhook_id"]), secret=made["webhook_secret"])
    assert town.process(receipt.delivery_id) == "published"
    publication_id = town.delivery(receipt.delivery_id).publication_id
    town.clock.advance(days=7)
    town.registry.read_only = True
    [kept] = town.sweep()["kept"]
    assert INNER in kept["because"]
    assert "another account" in kept["because"]
    assert "secret-plans" not in kept["because"]
    assert str(publication_id) not in kept["because"]


def test_an_sbom_that_an_image_under_another_name_has_too_is_kept(town: Town) -> None:
    digest, other = town.images.image(), town.images.image()
    sbom = town.attach(f"{digest.replace(':', '-')}.sbom", SBOM, b"{}")
    town.registry.tags[f"{other.replace(':', '-')}.sbom"] = sbom
    first = town.retire(digest)
    town.call_it(INNER)
    town.publish_there(other, INNER)
    town.clock.advance(days=7)
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert town.has(digest, sbom) == [False, True]


def test_what_is_claimed_under_another_name_while_the_registry_is_asked_is_asked_about_and_kept(town: Town) -> None:
    digest = town.images.image()
    first = town.due(digest)
    town.call_it(INNER)
    attempt_id = town.begin(town.announce(slug="other", ref=f"{INNER}@{digest}"))
    town.registry.before["list"] = lambda: ingest.resolve(town.context, attempt_id)
    assert purge(town.context, first, actor="test") is None
    assert town.registry.asked == []
    assert town.work(attempt_id) == "published"


def test_what_is_claimed_under_another_name_between_question_and_decision_is_asked_about_anew(town: Town) -> None:
    digest = town.images.image()
    first = town.retire(digest)
    other = copy_of(town.registry)
    town.call_it(INNER, other)
    town.publish_there(digest, INNER)
    town.clock.advance(days=7)
    town.named.by_host["third.internal"] = town.registry
    town.platform("third", oci_repository="third.internal/os/images")
    attempt_id = town.begin(town.announce(slug="third", ref=f"third.internal/os/images@{digest}"))
    other.before[digest] = lambda: ingest.resolve(town.context, attempt_id)
    assert purge(town.context, first, actor="test") is None
    assert digest not in town.registry.asked
    assert town.work(attempt_id) == "published"


def test_a_delete_under_way_elsewhere_is_waited_for_and_no_longer_than_it_can_take(town: Town) -> None:
    digest = town.images.image()
    first = town.due(digest)
    town.call_it(INNER)
    town.registry.answers["*"] = None
    with pytest.raises(RegistryUnavailable):
        town.sweep(node_platform_id="edge")
    assert town.steps()[digest] == "deleting"
    delivery_id = town.announce(slug="other", ref=f"{INNER}@{digest}")
    assert town.process(delivery_id) == "postponed"
    assert "may be the same one" in str(town.delivery(delivery_id).error_message)
    # It is claimed: nobody asks for the delete again without a proof.
    town.registry.answers["*"] = DeleteResult.REFUSED
    town.registry.asked.clear()
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert town.registry.asked.count(digest) == 0
    town.clock.advance(seconds=DELETE_TIMEOUT.total_seconds() + 1)
    assert town.process(delivery_id) == "published"


@pytest.mark.parametrize(
    ("platform", "announced"),
    [
        ("docker.io/os/images", "index.docker.io/os/images"),
        ("registry-1.docker.io/os/images", "docker.io:443/os/images"),
        ("docker.io/images", "index.docker.io/library/images"),
        ("registry.example/os/images", "Registry.Example.:443/os/images"),
        ("127.0.0.1:5000/os/images", "localhost:5000/os/images"),
    ],
)
def test_an_announcement_may_call_the_registry_by_a_known_alias(town: Town, platform: str, announced: str) -> None:
    town.call_it(platform)
    digest = town.images.image()
    publication = town.publication(town.publish_there(digest, announced))
    assert publication.repository == platform


def test_rows_of_before_are_compared_by_what_they_mean(town: Town) -> None:
    digest = town.images.image()
    first = town.retire(digest)
    town.call_it(INNER)
    second = town.publish_there(digest, INNER)
    town.set_fields(first, repository="docker.io/os/images")
    town.set_fields(second, repository="index.docker.io/os/images")
    town.named.by_host["docker.io"] = town.registry
    town.clock.advance(days=7)
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert town.has(digest) == [True]


def test_other_repositories_of_the_host_crowd_nobody_out(town: Town) -> None:
    digest = town.images.image()
    first = town.retire(digest)
    town.platform("other")
    second = town.publish(slug="other", digest=digest)
    like = town.publication(town.publish(slug="other"))
    of_like = {column.key: getattr(like, column.key) for column in Publication.__table__.columns}
    for number in range(MAX_REPOSITORIES + 10):
        repository = f"127.0.0.1:5000/a/{number:02d}"  # they sort before ours
        platform_id = town.platform(f"a{number:02d}", oci_repository=repository)
        values = {"id": uuid4(), "node_platform_id": platform_id, "repository": repository, "oci_digest": digest}
        with town.catalog.transaction() as session:
            session.add(Publication(**{**of_like, **values}))
    town.clock.advance(days=7)
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert town.has(digest) == [True]
    assert town.publication(second).status == "published"


def test_what_is_purged_while_it_is_looked_up_is_no_need(town: Town) -> None:
    digest = town.images.image()
    first = town.due(digest)
    town.platform("other")
    second = town.publish(slug="other", digest=digest)
    step = DeletionStep(publication_id=first, repository=REPOSITORY, digest=digest, subject=digest)

    def purge_it(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "UNION" in statement and "ORDER BY" not in statement and town.publication(second).status == "published":
            town.set_fields(second, status="purged")

    with town.catalog.read_session() as session:
        event.listen(town.catalog.engine, "after_cursor_execute", purge_it)
        needs = find_needs(session, step, now=town.clock.now())
    event.remove(town.catalog.engine, "after_cursor_execute", purge_it)
    assert town.publication(second).status == "purged"
    # One snapshot for the whole transaction, or one for each statement.
    assert [need.publication_id for need in needs] == ([second] if town.catalog.engine.name == "sqlite" else [])


def test_what_was_published_under_an_alias_before_is_purged_under_that_name(town: Town) -> None:
    for name, host in (("one", "127.0.0.1:5000"), ("two", "localhost:5000")):
        town.connections.save_registry(town.account_id, RegistryConnection(name, host))
    town.call("system_update_node_platform", id="edge", registry="one")
    digest = town.images.image()
    first = town.due(digest)
    town.call("system_update_node_platform", id="edge", oci_repository="localhost:5000/os/images", registry="two")
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert town.has(digest) == [False]


def due_beside_one_that_refuses(town: Town) -> tuple[str, UUID]:
    """Return the digest and publication of an image that is due, beside another name whose registry refuses."""
    digest = town.images.image()
    first = town.due(digest)
    refusing = AnsweringRegistry()
    refusing.error = RegistryDenied("not you")
    town.call_it(INNER, refusing)
    return digest, first


def test_what_was_announced_from_a_registry_that_refuses_and_not_read_holds_nothing(town: Town) -> None:
    digest, first = due_beside_one_that_refuses(town)
    assert ingest.resolve(town.context, town.begin(town.announce(slug="other", ref=f"{INNER}@{digest}")))
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert town.has(digest) == [False]


def test_however_many_announce_a_digest_that_they_have_not_read_it_is_purged(town: Town) -> None:
    digest, first = due_beside_one_that_refuses(town)
    for number in range(MAX_REPOSITORIES + 1):
        repository = f"registry.internal:5000/a/{number:02d}"
        values = {"account_id": town.account_id, "oci_digest": digest, "oci_ref": f"{repository}@{digest}"}
        platform_id = town.platform(f"a{number:02d}", oci_repository=repository)
        with town.catalog.transaction() as session:
            session.add(
                Publication(
                    **values,
                    node_platform_id=platform_id,
                    repository=repository,
                    status="verifying",
                    claims={},
                    created_at=town.clock.now(),
                )
            )
    assert town.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert town.has(digest) == [False]


def test_what_is_deleted_while_it_is_read_from_a_registry_that_did_not_answer_is_not_published(town: Town) -> None:
    digest = town.images.image()
    first = town.due(digest)
    inner = AnsweringRegistry()
    inner.blobs, inner.tags = town.registry.blobs, town.registry.tags  # it is ours by another name
    town.call_it(INNER, inner)
    attempt_id = town.begin(town.announce(slug="other", ref=f"{INNER}@{digest}"))

    def purge_it() -> None:
        inner.error = RegistryUnreachable("timed out")
        assert purge(town.context, first, actor="test") is None
        inner.error = None

    assert ingest.resolve(town.context, attempt_id)
    inner.before[digest] = purge_it  # between the answer to read_manifest and its rows
    ingest.read_manifest(town.context, attempt_id)
    assert town.has(digest) == [False]
    with pytest.raises(ContentRejected, match=digest):
        ingest.verify_blobs(town.context, attempt_id)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, open_registry: Callable[[str], RunningRegistry]) -> RunningRegistry:
    return open_registry(request.param)


@pytest.mark.part("docker-registry")
@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_a_real_registry_behind_a_second_listener_keeps_what_is_needed_there(
    catalog_url: str, place: RunningRegistry, tmp_path: Path
) -> None:
    shelf = SignedRepository(place.connection, tmp_path)
    keeper = PublishingHarness(catalog_url, shelf)
    first, digest = keeper.retired()
    with running_forwarder(int(place.host.rpartition(":")[2])) as inner:
        connection = RegistryConnection("inner", inner, place.connection.username, place.connection.token)
        login = {"username": connection.username, "token": connection.token} if connection.token else {}
        keeper.call("system_connect_registry", name="inner", host=inner, **login)
        repository = Repository(inner, shelf.repository.path)
        keeper.platform("other", oci_repository=str(repository), trust=shelf.trust, retention_count=1)
        delivery_id = keeper.announce(slug="other", ref=repository.at(digest))
        assert keeper.process(delivery_id) == "published"
        keeper.clock.advance(days=7)
        assert keeper.sweep(node_platform_id="edge")["purged"] == [str(first)]
        assert shelf.has(digest) == [True]
    shelf.registries.close()
    keeper.catalog.close()


@pytest.mark.part("docker-registry")
@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "gitea"])
def test_another_real_registry_that_has_the_same_image_keeps_nothing_here(
    catalog_url: str, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    with running(kind, tmp_path / "one") as place, running_registry(tmp_path / "two") as other:
        shelf = SignedRepository(place.connection, tmp_path)
        keeper = PublishingHarness(catalog_url, shelf)
        first, digest = keeper.retired()
        twin = Repository(other, shelf.repository.path)
        kernel = tmp_path / "vmlinuz"
        kernel.write_bytes(b"%s 1" % shelf.repository.path.encode())
        pusher = shelf.registries.open_pusher(RegistryConnection("two", other))
        assert pusher.push_image(twin, [Layer(kernel, "application/vnd.bootpress.kernel.v1", "vmlinuz")]) == digest
        signature = shelf.key.sign(
            Descriptor(OCI_MANIFEST, digest, shelf.size(digest)), created=datetime(2025, 6, 1, tzinfo=UTC)
        )
        for blob in signature.blobs:
            pusher.push_blob(twin, blob)
        pusher.push_manifest(twin, signature.manifest, media_type=signature.media_type)
        keeper.platform("other", oci_repository=str(twin), trust=shelf.trust, retention_count=1)
        delivery_id = keeper.announce(slug="other", ref=twin.at(digest))
        assert keeper.process(delivery_id) == "published", keeper.delivery(delivery_id).error_message
        keeper.clock.advance(days=7)
        report = keeper.sweep(node_platform_id="edge")
        assert report["purged"] == [str(first)], report
        assert shelf.has(digest) == [False]
        assert shelf.registries.open(RegistryConnection("two", other)).has_manifest(twin, digest)
        shelf.registries.close()
        keeper.catalog.close()
