"""Promotion and restore decide on what the platform demands now: architecture, repository, trust."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text, update

from bootpress.adapters.cosign.keys import load_pem
from bootpress.adapters.cosign.signing import SigningKey
from bootpress.core.errors import Conflict
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.platforms.service import lock_platform
from bootpress.core.publications.models import Publication
from bootpress.core.publications.rules import fingerprint_root
from tests.support.core_harness import HOST, REPOSITORY, CoreHarness
from tests.support.fakes import eventually

ELSEWHERE = f"{HOST}/os/elsewhere"


def keys(*known: SigningKey) -> dict[str, Any]:
    return {"mode": "keys", "public_keys": [key.public_pem for key in known]}


def keyless(identity: str = "https://ci.example/.*", **fields: Any) -> dict[str, Any]:
    expressions = {"cosign_identity_regexp": identity, "cosign_issuer_regexp": "https://issuer.example"}
    return {"mode": "keyless", **expressions, **fields}


CHANGES: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "arch": (lambda: {"arch": "arm64"}, "arch: the platform's is arm64, the publication's amd64"),
    "repository": (
        lambda: {"oci_repository": ELSEWHERE},
        f"oci_repository: the platform's is {ELSEWHERE}, the publication's {REPOSITORY}",
    ),
    "key": (
        lambda: {"trust": keys(SigningKey.create())},
        "trust: the platform does not trust the key with the SHA-256",
    ),
    "mode": (lambda: {"trust": keyless()}, "trust: the platform does not trust the key with the SHA-256"),
}
PROMOTE, RESTORE = "system_set_default_disk_image_publication", "system_restore_disk_image_publication"


def call(world: CoreHarness, name: str, publication_id: UUID) -> dict[str, Any]:
    answer: dict[str, Any] = world.call(name, publication_id=str(publication_id))["publication"]
    return answer


def change(world: CoreHarness, **fields: Any) -> dict[str, Any]:
    answer: dict[str, Any] = world.call("system_update_node_platform", id="edge", **fields)["node_platform"]
    return answer


def put(world: CoreHarness, publication_id: UUID, **values: Any) -> None:
    with world.catalog.transaction() as session:
        session.execute(update(Publication).where(Publication.id == publication_id).values(**values))


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("name", [PROMOTE, RESTORE])
def test_what_the_platform_no_longer_demands_is_neither_promoted_nor_restored(
    world: CoreHarness, kind: str, name: str
) -> None:
    platform_id = world.platform()
    first, second = world.publish(), world.publish()
    if name == RESTORE:
        put(world, second, status="retired", retired_at=world.clock.now())
    make, said = CHANGES[kind]
    change(world, **make())
    with pytest.raises(Conflict) as refusal:
        call(world, name, second)
    assert f"publication {second} is not what the platform edge demands now: {said}" in str(refusal.value)
    assert "announce" in str(refusal.value.hint)
    assert world.find_platform(platform_id).default_publication_id == first
    assert world.publication(second).status == ("retired" if name == RESTORE else "published")
    assert not world.events("restored")


def test_a_changed_platform_says_in_what_its_default_differs_and_keeps_it(world: CoreHarness) -> None:
    platform_id = world.platform()
    first = world.publish()
    assert change(world, name="Edge")["default_publication_differences"] == []
    shown = change(world, arch="arm64", oci_repository=ELSEWHERE, trust=keys(SigningKey.create()))
    assert [one.partition(":")[0] for one in shown["default_publication_differences"]] == [
        "arch",
        "oci_repository",
        "trust",
    ]
    [listed] = world.call("system_list_node_platforms")["node_platforms"]
    assert listed == world.call("system_get_node_platform", id="edge")["node_platform"] == shown
    assert world.find_platform(platform_id).default_publication_id == first
    with pytest.raises(Conflict):  # asked for once more, it would be chosen under what holds now
        call(world, PROMOTE, first)


def test_another_key_beside_the_signers_and_back_again_changes_nothing(world: CoreHarness) -> None:
    world.platform()
    world.publish()
    second = world.publish()
    change(world, trust=keys(SigningKey.create(), world.images.key))
    assert call(world, PROMOTE, second)["is_default"]
    change(world, arch="arm64")
    change(world, arch="amd64")
    put(world, second, status="retired")
    assert call(world, RESTORE, second)["status"] == "published"


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (keyless(), None),
        (keyless("https://ci.example/acme/.*"), None),
        (keyless("https://ci.example"), "does not trust the identity 'https://ci.example/acme/build'"),
        (keyless(cosign_issuer_regexp="https://other.example"), "of the issuer 'https://issuer.example'"),
        (keyless(trusted_root="public-good"), None),
        ("keys", "does not trust the identity"),
    ],
)
def test_a_keyless_signer_is_told_from_the_record(world: CoreHarness, now: Any, said: str | None) -> None:
    world.platform()
    world.publish()
    second = world.publish()
    signer = {"mode": "keyless", "identity": "https://ci.example/acme/build", "issuer": "https://issuer.example"}
    put(
        world,
        second,
        trust_sha256=None,
        signer={**signer, "key_sha256": None},
        trusted_root_sha256=fingerprint_root({**keyless(), "trusted_root": "public-good"}),
    )
    change(world, trust=world.images.trust if now == "keys" else now)
    if said is None:
        assert call(world, PROMOTE, second)["is_default"]
        return
    with pytest.raises(Conflict, match="demands now: trust: ") as refusal:
        call(world, PROMOTE, second)
    assert said in str(refusal.value)


def test_a_root_that_is_not_known_to_be_the_same_is_no_proof(world: CoreHarness) -> None:
    world.platform()
    world.publish()
    second = world.publish()
    signer = {"mode": "keyless", "identity": "https://ci.example/acme", "issuer": "https://issuer.example"}
    put(world, second, trust_sha256=None, signer={**signer, "key_sha256": None}, trusted_root_sha256=None)
    change(world, trust=keyless())
    with pytest.raises(Conflict, match="the platform's trusted root is not known to be the one"):
        call(world, PROMOTE, second)


def test_an_announcement_verifies_anew_what_the_platform_trusts_no_more(world: CoreHarness) -> None:
    platform_id = world.platform()
    digest = world.images.image()
    publication_id = world.publish(digest=digest)
    other = SigningKey.create()
    change(world, trust=keys(other))
    delivery_id = world.announce(ref=f"{REPOSITORY}@{digest}")
    assert world.process(delivery_id) == "failed"  # the new key has not signed it
    assert (world.publication(publication_id).status, world.delivery(delivery_id).status) == ("published", "failed")
    world.images.sign(digest, other)
    assert world.process(world.announce(ref=f"{REPOSITORY}@{digest}", git_sha="2")) == "published"
    assert call(world, PROMOTE, publication_id)["signer"]["key_sha256"] == load_pem(other.public_pem).sha256
    assert world.find_platform(platform_id).disk_image_publication_status == "published"


@pytest.mark.part("postgresql")
def test_a_promotion_beside_a_change_of_trust_waits_for_it_and_sees_it(postgres_world: CoreHarness) -> None:
    world = postgres_world
    platform_id = world.platform()
    first, second = world.publish(), world.publish()
    with ThreadPoolExecutor(1) as pool:
        with world.catalog.transaction() as session:
            row = lock_platform(session, platform_id)
            promoting = pool.submit(call, world, PROMOTE, second)
            waits_for_a_lock(world)
            row.trust = keys(SigningKey.create())
        with pytest.raises(Conflict, match="trust: the platform does not trust the key"):
            promoting.result(timeout=60)
    with world.catalog.read_session() as reading:
        assert reading.get_one(NodePlatform, platform_id).default_publication_id == first


def waits_for_a_lock(world: CoreHarness) -> None:
    """Return when some other transaction of this database waits for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )

    def is_waiting() -> bool:
        with world.catalog.read_session() as session:
            return bool(session.scalar(waiting))

    assert eventually(is_waiting, within=60)


@pytest.mark.parametrize("name", [PROMOTE, RESTORE])
def test_an_alias_of_the_same_repository_is_no_difference(world: CoreHarness, name: str) -> None:
    world.platform()
    world.publish()
    second = world.publish()
    if name == RESTORE:
        put(world, second, status="retired", retired_at=world.clock.now())
    assert change(world, oci_repository="localhost:5000/os/images")["default_publication_differences"] == []
    assert call(world, name, second)["status"] == "published"
