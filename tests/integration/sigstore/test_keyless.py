"""Keyless signatures made by real cosign through real services, all the way to their publication."""

from __future__ import annotations

import re

import pytest

from tests.integration.sigstore.conftest import Pipeline
from tests.support.registries import everywhere
from tests.support.sigstore_live import FORGE, MAIN
from tests.support.vectors import trusted_root

pytestmark = [pytest.mark.part("cosign2"), pytest.mark.part("cosign3"), pytest.mark.part("docker-registry")]
FOREIGN = MAIN.replace("os/images", "mallory/images")


@pytest.mark.parametrize(("major", "rekor"), [(2, 1), (3, 1), (3, 2)])
def test_what_a_workflow_signs_is_published_and_says_who_signed_it(pipeline: Pipeline, major: int, rekor: int) -> None:
    digest = pipeline.sign(major=major, rekor=rekor)

    outcome, publication = pipeline.announce(digest)

    assert outcome == "published", publication.error_message
    assert publication.cosign_verified
    assert publication.signer is not None
    assert publication.signer["identity"] == f"{FORGE}/{MAIN}"
    assert publication.signer["issuer"] == pipeline.services.issuer.url
    [event] = pipeline.keeper.events("published")
    assert event.payload["signer"] == publication.signer


@pytest.mark.parametrize("major", [2, 3])
def test_another_repositorys_workflow_is_rejected_and_cosign_agrees(pipeline: Pipeline, major: int) -> None:
    digest = pipeline.sign(major=major, workflow=FOREIGN)

    outcome, publication = pipeline.announce(digest)

    assert (outcome, publication.status, publication.cosign_verified) == ("failed", "failed", False)
    assert "mallory/images" in str(publication.error_message)
    assert pipeline.keeper.find_platform(pipeline.keeper.platform_id).default_publication_id is None
    image, cosign = pipeline.shelf.repository.at(digest), pipeline.cosign(major)
    trusted = re.escape(pipeline.services.issuer.url)
    for workflow, agrees in ((MAIN, False), (FOREIGN, True)):
        identity = f"^{re.escape(f'{FORGE}/{workflow}')}$"
        assert cosign.verifies_keyless(image, pipeline.services, identity=identity, issuer=trusted) is agrees


@pytest.mark.parametrize("major", [2, 3])
def test_the_right_workflow_by_another_issuer_is_rejected(pipeline: Pipeline, major: int) -> None:
    digest = pipeline.sign(major=major, issuer=pipeline.services.stranger)

    outcome, publication = pipeline.announce(digest)

    assert (outcome, publication.cosign_verified) == ("failed", False)
    assert pipeline.services.stranger.url in str(publication.error_message)


@pytest.mark.parametrize("major", [2, 3])
def test_under_the_root_of_other_services_it_is_rejected(pipeline: Pipeline, major: int) -> None:
    pipeline.keeper.call(
        "system_update_node_platform", id="edge", trust={**pipeline.services.trust(), "trusted_root": trusted_root()}
    )

    outcome, publication = pipeline.announce(pipeline.sign(major=major))

    assert (outcome, publication.cosign_verified) == ("failed", False)


def test_a_good_signature_beside_a_foreign_one_is_found(pipeline: Pipeline) -> None:
    digest = pipeline.sign(workflow=FOREIGN)
    token = pipeline.services.token()
    pipeline.cosign(2).sign_keyless(pipeline.shelf.repository.at(digest), pipeline.services, token)

    outcome, publication = pipeline.announce(digest)

    assert outcome == "published"
    assert publication.signer is not None
    assert publication.signer["identity"] == f"{FORGE}/{MAIN}"


@everywhere("pipeline")
def test_on_every_registry_it_is_published_and_purged_with_its_signature(pipeline: Pipeline) -> None:
    digest = pipeline.sign(tag="v1")
    [signature] = pipeline.shelf.signatures(digest)
    fallback = digest.replace(":", "-")
    assert pipeline.shelf.has(fallback) == [not pipeline.place.has_referrers_api]
    outcome, publication = pipeline.announce(digest)
    assert outcome == "published"

    keeper = pipeline.keeper
    keeper.clock.advance(minutes=1)
    newest = pipeline.announce(pipeline.sign(tag="v2"))[1]
    keeper.make_default(newest.id)
    assert keeper.sweep()["retired"] == [str(publication.id)]
    keeper.clock.advance(days=7)
    assert keeper.sweep()["purged"] == [str(publication.id)]
    assert pipeline.shelf.has(digest, signature, fallback) == [False] * 3
    assert pipeline.shelf.has(str(newest.oci_digest)) == [True]
