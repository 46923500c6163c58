"""Whatever somebody lies about who may write to the registry or runs services of his own: it is never published.

Each case is judged twice: by the verifier, and by the whole ingest on a real catalog. There its honest twin, which
differs in the lie alone, is published afterwards, so that no case passes for another reason than its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bootpress.core.errors import Rejected, Unavailable
from bootpress.core.platforms.trust import trust_policy
from bootpress.core.ports import VerifiedSignature
from tests.adversarial.adversary import contents, evidence, identities, keys, malformed, outages, services, signatures
from tests.adversarial.adversary.harness import AttackHarness
from tests.support.attack_scenarios import AttackScenario, Case
from tests.support.core_harness import repository_of

CASES = [
    case
    for family in (identities, services, evidence, signatures, keys, malformed, contents, outages)
    for case in family.cases()
]
every_case = pytest.mark.parametrize("case", [pytest.param(case, id=case.sentence) for case in CASES])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackHarness]:
    """Return one catalog for all cases; each has a platform of its own."""
    stage = AttackHarness(f"sqlite:///{tmp_path_factory.mktemp('adversary') / 'catalog.db'}")
    yield stage
    stage.world.catalog.close()


def verify(scene: AttackScenario) -> VerifiedSignature:
    policy = trust_policy.validate_python(scene.trust)
    return scene.verifier.verify(scene.registry, repository_of(), scene.digest, policy)


def test_no_case_is_there_twice() -> None:
    assert len({case.sentence for case in CASES}) == len(CASES)


@every_case
def test_the_verifier_tells_the_lie_from_the_truth(case: Case) -> None:
    if case.found != "signature":
        verify(case.hostile())  # the signature is good; what it is a signature of is not
        return
    with pytest.raises(case.error) as caught:
        verify(case.hostile())
    assert type(caught.value) is case.error
    assert case.reason in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 5000


@every_case
def test_the_lie_is_not_published_and_moves_no_default(stage: AttackHarness, case: Case) -> None:
    platform, world = stage.new_platform(), stage.world

    delivery_id = platform.announce(case.hostile())

    delivery = world.delivery(delivery_id)
    publication = world.publication(delivery.publication_id)
    assert type(world.errors[-1]) is case.error
    assert case.reason in str(delivery.error_message)
    assert (publication.signer, publication.verified_at, publication.published_at) == (None, None, None)
    platform.check_nothing_moved()
    if issubclass(case.error, Rejected):
        assert (delivery.status, publication.status, platform.events()) == ("failed", "failed", ["publish_failed"])
        assert publication.cosign_verified is (case.found == "blobs")
        delivery_id = platform.announce(case.honest())
    else:
        assert issubclass(case.error, Unavailable)
        assert (delivery.status, publication.status, platform.events()) == ("processing", "verifying", [])
        assert not publication.cosign_verified
        platform.try_again(delivery_id, case.honest())

    published_id = world.delivery(delivery_id).publication_id
    assert published_id is not None
    platform.check_published(published_id)
    assert platform.events()[-1] == "published"
