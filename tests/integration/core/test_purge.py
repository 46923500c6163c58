"""What a purge deletes, what it leaves alone, and when a publication can still be restored."""

from __future__ import annotations

import pytest

from bootpress.adapters.cosign.attachments import MAX_PAYLOAD
from bootpress.core.errors import Conflict, RegistryUnavailable
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.ports import DeleteResult, RegistryConnection
from bootpress.core.retention.purge import IN_USE, purge
from tests.support.attachments import ENVELOPE, SBOM, SIGNATURE, attestation, signature_payload
from tests.support.core_harness import HOST, REPOSITORY, SingleRegistryFactory, repository_of
from tests.support.retention_harness import RetentionHarness


def tag_of(digest: str, suffix: str = "") -> str:
    return digest.replace(":", "-") + suffix


def test_what_cosign_2_attached_is_deleted_with_its_image(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    signature = yard.attach(tag_of(digest, ".sig"), SIGNATURE, signature_payload(digest))
    attested = yard.attach(tag_of(digest, ".att"), ENVELOPE, attestation(digest))
    sbom = yard.attach(tag_of(digest, ".sbom"), SBOM, b"{}")
    fallback = yard.registry.tags[tag_of(digest)]
    first = yard.due(digest)
    assert yard.sweep()["purged"] == [str(first)]
    assert yard.has(digest, signature, attested, sbom, fallback) == [False] * 5


def test_an_attestation_that_is_too_large_to_read_stays_and_is_said_to(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    attested = yard.attach(tag_of(digest, ".att"), ENVELOPE, attestation(digest) + b" " * MAX_PAYLOAD)
    first = yard.due(digest)
    report = yard.sweep()
    assert report["purged"] == []
    [kept] = report["kept"]
    assert kept["publication_id"] == str(first)
    assert kept["because"].startswith(f"it is purged, but {attested}, which may be about it, stays: it has ")
    assert yard.has(digest, attested) == [False, True]
    assert yard.publication(first).status == "purged"
    assert yard.sweep() == {"retired": [], "purged": [], "kept": []}


@pytest.mark.parametrize("suffix", [".sig", ".att", ".sbom", ""])
def test_a_tag_of_the_image_that_leads_to_another_ones_signature_deletes_nothing_of_it(
    yard: RetentionHarness, suffix: str
) -> None:
    digest = yard.images.image()
    first = yard.retire(digest)
    other = yard.images.image()
    default = yard.publish(digest=other)
    [signature] = [one.digest for one in yard.registry.list_referrers(repository_of(), other)]
    legacy = yard.attach(tag_of(other, ".sig"), SIGNATURE, signature_payload(other))
    for target in (signature, legacy, other):
        yard.registry.tags[tag_of(digest, suffix)] = target
        yard.clock.advance(days=7)
        report = yard.sweep()
        assert yard.has(signature, legacy, other) == [True] * 3
        # Under the fallback tag an image is a list of referrers that cannot be read.
        assert len(report["purged"]) + len(report["kept"]) == 1
        yard.set_fields(first, status="retired", retired_at=yard.clock.now())
    assert yard.publication(default).status == "published"


def test_an_sbom_that_two_images_have_outlives_the_first(yard: RetentionHarness) -> None:
    digest, other = yard.images.image(), yard.images.image()
    sbom = yard.attach(tag_of(digest, ".sbom"), SBOM, b"{}")
    yard.registry.tags[tag_of(other, ".sbom")] = sbom
    first = yard.retire(digest)
    second = yard.publish(digest=other)
    yard.clock.advance(days=7)
    assert yard.sweep()["purged"] == [str(first)]
    assert yard.has(digest, sbom) == [False, True]
    assert yard.registry.tags[tag_of(other, ".sbom")] == sbom
    # Once nobody else has it, it goes too.
    yard.make_default(yard.publish())
    yard.sweep()
    assert yard.publication(second).status == "retired"
    yard.clock.advance(days=7)
    yard.sweep()
    assert yard.has(other, sbom) == [False, False]


def test_an_image_index_under_the_fallback_tag_is_left_alone(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.retire(digest)
    child = yard.images.image(sign=False)
    index = yard.images.index({"amd64": child}, tag="v-next")  # pushed, and not announced yet
    yard.registry.tags[tag_of(digest)] = index
    yard.clock.advance(days=7)
    assert yard.sweep()["purged"] == [str(first)]
    assert yard.has(index, child) == [True, True]


def test_a_fallback_index_that_lists_more_than_is_deleted_stays(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.retire(digest)
    [own] = [one.digest for one in yard.registry.list_referrers(repository_of(), digest)]
    foreign = yard.images.image(sign=False)
    yard.images.refer(digest, yard.registry.blobs[foreign])
    fallback = yard.registry.tags[tag_of(digest)]
    yard.clock.advance(days=7)
    assert yard.sweep()["purged"] == [str(first)]
    assert yard.has(digest, own, foreign, fallback) == [False, False, True, True]


@pytest.mark.parametrize("answer", [DeleteResult.DENIED, DeleteResult.REFUSED, DeleteResult.UNSUPPORTED])
def test_a_refused_delete_keeps_the_image_whole_and_restorable(yard: RetentionHarness, answer: DeleteResult) -> None:
    digest = yard.images.image()
    first = yard.due(digest)
    yard.registry.answers["*"] = answer
    [kept] = yard.sweep()["kept"]
    assert kept["publication_id"] == str(first)
    assert ("refuses" in kept["because"]) is (answer is DeleteResult.REFUSED)
    assert ("credential" in kept["because"]) is (answer is DeleteResult.DENIED)
    # The signature of an image that cannot be deleted is not asked for.
    assert yard.registry.asked == [digest]
    assert yard.steps() == {}
    yard.platform("other")
    yard.publish(slug="other", digest=digest)
    yard.restore(first)
    assert yard.publication(first).status == "published"


def test_a_registry_that_is_away_while_it_is_asked_leaves_the_publication_restorable(yard: RetentionHarness) -> None:
    first = yard.due(yard.images.image())
    with yard.registry_away("referrers"), pytest.raises(RegistryUnavailable, match="could not be purged"):
        yard.sweep()
    assert yard.publication(first).purge_begun_at is None
    yard.restore(first)


def test_once_something_is_gone_a_refusal_lets_nothing_be_restored_and_the_next_sweep_goes_on(
    yard: RetentionHarness,
) -> None:
    digest = yard.images.image()
    first = yard.due(digest)
    [signature] = [one.digest for one in yard.registry.list_referrers(repository_of(), digest)]
    yard.registry.answers = {digest: DeleteResult.DELETED, signature: DeleteResult.REFUSED}  # a cache serves it on
    assert len(yard.sweep()["kept"]) == 1
    with pytest.raises(Conflict, match="is being purged"):
        yard.restore(first)
    assert yard.steps()[digest] == "deleted"
    yard.registry.answers.clear()
    yard.registry.asked.clear()
    assert yard.sweep()["purged"] == [str(first)]
    assert digest not in yard.registry.asked
    assert yard.has(signature) == [False]


def test_what_was_gone_before_and_is_then_refused_cannot_be_restored(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.due(digest)
    del yard.registry.blobs[digest]
    [signature] = [one.digest for one in yard.registry.list_referrers(repository_of(), digest)]
    yard.registry.answers[signature] = DeleteResult.REFUSED
    assert len(yard.sweep()["kept"]) == 1
    with pytest.raises(Conflict, match="is being purged"):
        yard.restore(first)


def test_nothing_is_purged_before_its_grace_is_over_whoever_asks(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.retire(digest)
    yard.clock.advance(days=7, seconds=-1)
    assert purge(yard.context, first, actor="test") == IN_USE
    assert yard.has(digest) == [True]
    yard.clock.advance(seconds=1)
    assert purge(yard.context, first, actor="test") is None


def test_a_default_is_never_purged_whatever_it_says_it_is(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.due(digest)
    with yard.catalog.transaction() as session:
        session.get_one(NodePlatform, yard.edge).default_publication_id = first
    assert purge(yard.context, first, actor="test") == IN_USE
    assert yard.has(digest) == [True]


def test_what_is_pinned_while_the_registry_is_asked_is_not_purged(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.due(digest)
    yard.registry.before["list"] = lambda: yard.call("system_pin_disk_image_publication", publication_id=str(first))
    assert purge(yard.context, first, actor="test") == IN_USE
    assert yard.has(digest) == [True]
    assert yard.publication(first).purge_begun_at is None


def test_the_same_digest_in_another_repository_protects_nothing(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    first = yard.retire(digest)
    elsewhere = f"{HOST}/os/elsewhere"
    yard.platform("other", oci_repository=elsewhere)
    assert yard.process(yard.announce(slug="other", ref=f"{elsewhere}@{digest}")) == "published"
    yard.clock.advance(days=7)
    assert yard.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert yard.has(digest) == [False]


def test_a_purged_publication_protects_nothing(yard: RetentionHarness) -> None:
    digest = yard.images.image()
    yard.platform("other", retention_count=1)
    first = yard.retire(digest)
    second = yard.retire(digest, slug="other")
    yard.clock.advance(days=7)
    assert yard.sweep(node_platform_id="edge")["purged"] == [str(first)]
    assert yard.has(digest) == [True]
    assert yard.sweep(node_platform_id="other")["purged"] == [str(second)]
    assert yard.has(digest) == [False]


@pytest.mark.parametrize(("days", "is_kept"), [(6, 1), (8, 0)])
def test_a_failed_publication_protects_its_digest_for_a_week(yard: RetentionHarness, days: int, is_kept: int) -> None:
    digest = yard.images.image()
    first = yard.retire(digest)
    yard.clock.advance(days=10)
    yard.platform("other", trust={"mode": "keys", "public_keys": [yard.images.key.create().public_pem]})
    assert yard.process(yard.announce(slug="other", ref=f"{REPOSITORY}@{digest}")) == "failed"
    yard.clock.advance(days=days)
    assert yard.sweep()["purged"] == [str(first)]
    assert yard.has(digest) == [bool(is_kept)]


@pytest.mark.parametrize("status", ["queued", "verifying", "revoked"])
def test_a_publication_that_is_under_way_or_revoked_protects_its_digest(yard: RetentionHarness, status: str) -> None:
    digest = yard.images.image()
    first = yard.retire(digest)
    yard.platform("other")
    yard.set_fields(yard.publish(slug="other", digest=digest), status=status)
    yard.clock.advance(days=7)
    assert yard.sweep()["purged"] == [str(first)]
    assert yard.has(digest) == [True]


def test_a_purge_reaches_the_registry_that_the_platform_has_left(yard: RetentionHarness) -> None:
    registries = yard.context.registries
    assert isinstance(registries, SingleRegistryFactory)
    yard.connections.save_registry(yard.account_id, RegistryConnection("old", HOST, "robot", "secret"))
    yard.connections.save_registry(yard.account_id, RegistryConnection("new", "new.example"))
    digest = yard.images.image()
    first = yard.due(digest)
    yard.call("system_update_node_platform", id="edge", oci_repository="new.example/os/images", registry="new")
    registries.opened.clear()
    assert yard.sweep()["purged"] == [str(first)]
    assert [(one.name, one.host) for one in registries.opened] == [("old", HOST)]
    assert yard.has(digest) == [False]


def test_a_platform_that_stays_uses_the_connection_it_names(yard: RetentionHarness) -> None:
    registries = yard.context.registries
    assert isinstance(registries, SingleRegistryFactory)
    for name in ("first", "second"):
        yard.connections.save_registry(yard.account_id, RegistryConnection(name, HOST))
    yard.call("system_update_node_platform", id="edge", registry="second")
    first = yard.due(yard.images.image())
    registries.opened.clear()
    assert yard.sweep()["purged"] == [str(first)]
    assert {one.name for one in registries.opened} == {"second"}
