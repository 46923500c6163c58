"""One good signature is enough, a bad one never hides it, and a registry that is away is never "unsigned"."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Sequence

import pytest

from bootpress.adapters.cosign.bundles import Bundle
from bootpress.adapters.cosign.policies import VerifiedSigner
from bootpress.adapters.cosign.signature_locations import LegacySignature
from bootpress.adapters.cosign.signature_search import Search
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import ContentRejected, RegistryUnavailable, SignatureRejected, TrustRootUnavailable
from bootpress.core.ports import Descriptor
from bootpress.core.references import Repository
from tests.support.layouts import INDEX, MANIFEST, LayoutRegistry
from tests.support.mutations import (
    SIGNATURE,
    put_bundle,
    put_referrers,
    read_bundle,
    read_legacy,
    with_bundle,
    with_legacy,
)
from tests.support.vectors import Vector
from tests.unit.adapters.cosign.conftest import Refuse, Verify

BAD = b'{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}'


class CountingRegistry(LayoutRegistry):
    """A registry that counts the manifests and blobs it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def _read(self, digest: str, *, limit: int) -> bytes:
        self.asked.append(digest)
        return super()._read(digest, limit=limit)


class BrokenListRegistry(LayoutRegistry):
    """A registry whose list of referrers is no list."""

    def list_referrers(self, repository: Repository, digest: str) -> Sequence[Descriptor]:
        raise ContentRejected("the list of referrers is not an index")


class Undecided:
    """A policy that comes to no judgement, for a reason that no candidate is to blame for."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.asked = 0

    def check(self, signature: Bundle | LegacySignature) -> VerifiedSigner:
        self.asked += 1
        raise self._error


def bad_ones(registry: LayoutRegistry, vector: Vector, count: int) -> list[str]:
    return [put_bundle(registry, vector.digest, BAD + b" " * number) for number in range(count)]


def good_one(registry: LayoutRegistry, vector: Vector) -> str:
    return put_bundle(registry, vector.digest, read_bundle(vector))


@pytest.mark.parametrize("before", [0, 1, 49])
def test_a_good_signature_behind_bad_ones_is_found(vectors: dict[str, Vector], verify: Verify, before: int) -> None:
    vector = vectors["keys-v3"]
    registry = vector.open()
    put_referrers(registry, vector.digest, [*bad_ones(registry, vector, before), good_one(registry, vector)])
    assert verify(vector, registry).signer.mode == "keys"


def test_no_more_than_fifty_candidates_are_looked_at(vectors: dict[str, Vector], verifier: CosignVerifier) -> None:
    vector = vectors["keys-v3"]
    registry = CountingRegistry()
    referrers = [*bad_ones(registry, vector, 60), good_one(registry, vector)]
    put_referrers(registry, vector.digest, referrers)

    with pytest.raises(SignatureRejected, match="no more than 50 candidates are looked at") as caught:
        verifier.verify(registry, vector.repository, vector.digest, vector.policy)

    assert len(registry.asked) == 1 + 2 * 50
    assert len(str(caught.value)) < 4000


def test_fifty_candidates_are_both_formats_together(vectors: dict[str, Vector], refuse: Refuse) -> None:
    vector = vectors["keys-v2"]
    payload, annotations = read_legacy(vector)
    registry = with_legacy(vector, *[(payload, annotations | {SIGNATURE: "AAAA"})] * 30, (payload, annotations))
    legacy = registry.tags[vector.digest.replace(":", "-") + ".sig"]
    put_referrers(registry, vector.digest, bad_ones(registry, vector, 20))
    registry.tags[vector.digest.replace(":", "-") + ".sig"] = legacy
    assert "no more than 50" in refuse(vector, registry)


def test_candidates_that_are_gone_count_too(vectors: dict[str, Vector], verifier: CosignVerifier) -> None:
    vector = vectors["keys-v3"]
    registry = CountingRegistry()
    gone = bad_ones(registry, vector, 60)
    for digest in gone:
        del registry.blobs[digest]
    put_referrers(registry, vector.digest, [*gone, good_one(registry, vector)])
    with pytest.raises(SignatureRejected, match="no more than 50"):
        verifier.verify(registry, vector.repository, vector.digest, vector.policy)
    assert len(registry.asked) == 1 + 50


@pytest.mark.parametrize("error", [TrustRootUnavailable("it cannot be had"), MemoryError()])
def test_what_keeps_us_from_judging_ends_the_search_and_makes_no_signature_a_bad_one(
    vectors: dict[str, Vector], error: Exception
) -> None:
    vector = vectors["keys-v3"]
    registry, policy = vector.open(), Undecided(error)
    good = [put_bundle(registry, vector.digest, json.dumps(read_bundle(vector)).encode() + b" " * n) for n in range(3)]
    put_referrers(registry, vector.digest, good)
    with pytest.raises(type(error)):
        Search(registry, vector.repository, vector.digest, policy).run()
    assert policy.asked == 1


def test_layers_of_one_manifest_count_each(vectors: dict[str, Vector], refuse: Refuse) -> None:
    vector = vectors["keys-v2"]
    payload, annotations = read_legacy(vector)
    registry = with_legacy(vector, *[(payload, annotations | {SIGNATURE: "AAAA"})] * 60, (payload, annotations))
    reason = refuse(vector, registry)
    assert "and 45 more" in reason
    assert "no more than 50" in reason


def test_the_search_ends_with_the_first_good_one(vectors: dict[str, Vector], verifier: CosignVerifier) -> None:
    vector = vectors["keys-v3"]
    registry = CountingRegistry()
    put_referrers(registry, vector.digest, [good_one(registry, vector), *bad_ones(registry, vector, 5)])
    verifier.verify(registry, vector.repository, vector.digest, vector.policy)
    assert len(registry.asked) == 3


def test_a_candidate_that_is_listed_twice_is_looked_at_once(
    vectors: dict[str, Vector], verifier: CosignVerifier
) -> None:
    vector = vectors["keys-v3"]
    registry = CountingRegistry()
    (bad,) = bad_ones(registry, vector, 1)
    put_referrers(registry, vector.digest, [bad] * 3)
    registry.tags[vector.digest.replace(":", "-") + ".sig"] = bad
    with pytest.raises(SignatureRejected):
        verifier.verify(registry, vector.repository, vector.digest, vector.policy)
    assert registry.asked.count(bad) == 1


def test_candidates_that_are_gone_or_damaged_do_not_hide_a_good_one(vectors: dict[str, Vector], verify: Verify) -> None:
    vector = vectors["keys-v3"]
    registry = vector.open()
    gone, damaged, no_blob = bad_ones(registry, vector, 3)
    del registry.blobs[gone]
    registry.blobs[damaged] += b" "
    registry.blobs.pop(registry.add(BAD + b"  "))
    an_index = registry.add_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    no_manifest = registry.add(b"[]")
    referrers = [gone, damaged, no_blob, an_index, no_manifest, vector.digest, good_one(registry, vector)]
    put_referrers(registry, vector.digest, referrers)
    assert verify(vector, registry).signer.mode == "keys"


def test_what_is_gone_or_damaged_is_a_reason(vectors: dict[str, Vector], refuse: Refuse) -> None:
    vector = vectors["keys-v3"]
    registry = vector.open()
    gone, damaged = bad_ones(registry, vector, 2)
    del registry.blobs[gone]
    registry.blobs[damaged] += b" "
    put_referrers(registry, vector.digest, [gone, damaged])
    reason = refuse(vector, registry)
    assert "is not there" in reason
    assert "other bytes than its digest says" in reason


def test_referrers_that_are_no_signatures_leave_an_image_unsigned(vectors: dict[str, Vector], refuse: Refuse) -> None:
    vector = vectors["keys-v3"]
    registry = with_bundle(vector, b"{}", media_type="application/spdx+json")
    assert "carries no signature" in refuse(vector, registry)


def test_an_image_with_more_referrers_than_are_looked_at_is_not_called_unsigned(
    vectors: dict[str, Vector], refuse: Refuse
) -> None:
    vector = vectors["keys-v3"]
    registry = vector.open()
    others = [put_bundle(registry, vector.digest, b"%d" % n, media_type="application/spdx+json") for n in range(200)]
    put_referrers(registry, vector.digest, [*others, good_one(registry, vector)])
    reason = refuse(vector, registry)
    assert "no more than 200 referrers" in reason
    assert "carries no signature" not in reason


def test_an_unanswered_question_does_not_hide_a_good_signature(vectors: dict[str, Vector], verify: Verify) -> None:
    vector = vectors["keys-v3"]
    registry = vector.open()
    (bad,) = bad_ones(registry, vector, 1)
    put_referrers(registry, vector.digest, [bad, good_one(registry, vector)])
    registry.away = {bad}
    assert verify(vector, registry).signer.mode == "keys"


def test_a_cosign_2_signature_is_found_while_referrers_cannot_be_listed(
    vectors: dict[str, Vector], verify: Verify
) -> None:
    vector = vectors["keys-v2"]
    registry = vector.open()
    registry.away = {"referrers"}
    assert verify(vector, registry).format == "legacy-v2"


def test_a_broken_list_of_referrers_does_not_hide_a_cosign_2_signature(
    vectors: dict[str, Vector], verify: Verify, refuse: Refuse
) -> None:
    assert verify(vectors["keys-v2"], BrokenListRegistry(vectors["keys-v2"].path)).format == "legacy-v2"
    assert "is not an index" in refuse(vectors["keys-v3"], BrokenListRegistry(vectors["keys-v3"].path))


def test_a_registry_that_is_away_is_not_asked_fifty_times(vectors: dict[str, Vector], verifier: CosignVerifier) -> None:
    vector = vectors["keys-v3"]
    registry = CountingRegistry()
    referrers = bad_ones(registry, vector, 40)
    put_referrers(registry, vector.digest, referrers)
    registry.away = set(referrers)
    with pytest.raises(RegistryUnavailable):
        verifier.verify(registry, vector.repository, vector.digest, vector.policy)
    assert len(registry.asked) < 6


def test_what_an_attacker_writes_reaches_the_reason_only_short_and_printable(
    vectors: dict[str, Vector], refuse: Refuse
) -> None:
    vector = vectors["keys-v3"]
    text = "\x1b[31m\r\nINFO published\u202e" + "A" * 5000
    bundle = read_bundle(vector) | {"mediaType": text}
    reason = refuse(vector, with_bundle(vector, bundle))
    assert "INFO published" in reason
    assert reason.isprintable()
    assert len(reason) < 1000


def test_what_is_refused_is_not_kept_in_memory(vectors: dict[str, Vector], refuse: Refuse) -> None:
    """Each of fifty candidates may hold a MiB, and what is read of it takes thirty."""
    vector = vectors["keys-v3"]

    def peak(count: int) -> int:
        registry = vector.open()
        many = [json.dumps(dict.fromkeys(map(str, range(number, number + 10_000)))).encode() for number in range(count)]
        put_referrers(registry, vector.digest, [put_bundle(registry, vector.digest, raw) for raw in many])
        tracemalloc.start()
        try:
            assert "malformed in 10002 places" in refuse(vector, registry)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(12) < 2 * peak(1)


def test_a_cosign_2_signature_may_also_be_a_referrer(vectors: dict[str, Vector], verify: Verify) -> None:
    """With --registry-referrers-mode=oci-1-1 cosign 2 writes it so."""
    vector = vectors["keys-v2"]
    registry = vector.open()
    tagged = json.loads(registry.blobs[registry.tags[vector.digest.replace(":", "-") + ".sig"]])
    subject = {"mediaType": MANIFEST, "digest": vector.digest, "size": 1}
    put_referrers(registry, vector.digest, [registry.add_json(tagged | {"subject": subject})])
    assert verify(vector, registry).format == "legacy-v2"
