"""What binds one thing to another: an entry to its log's key, a place to what lies there, a root's ids to its keys."""

from __future__ import annotations

import base64
import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bootpress.adapters.cosign.policies import KeysPolicy
from bootpress.adapters.cosign.roots import read_root
from bootpress.adapters.cosign.signature_locations import MAX_CANDIDATES, signature_tag
from bootpress.adapters.cosign.signature_search import MAX_SECONDS, Search
from bootpress.core.errors import InvalidInput, RegistryUnavailable, SignatureRejected
from bootpress.core.platforms.trust import KeysTrust, trust_policy
from bootpress.core.ports import Descriptor
from bootpress.core.references import Repository
from tests.support.layouts import LayoutRegistry
from tests.support.mutations import Json, put_bundle, put_referrers, read_bundle, with_bundle
from tests.support.vectors import Vector
from tests.unit.adapters.cosign.conftest import Refuse, Verify

LONG_AGO = {"start": "2020-01-01T00:00:00Z", "end": "2020-02-01T00:00:00Z"}


def list_referrers(registry: LayoutRegistry, vector: Vector, digests: list[str]) -> None:
    """List manifests as referrers beside the cosign 2 signature, which stays."""
    tagged = registry.tags[signature_tag(vector.digest)]
    put_referrers(registry, vector.digest, digests).tags[signature_tag(vector.digest)] = tagged


def retire_second_log(vector: Vector) -> tuple[dict[str, Any], bytes]:
    """Return a root whose Rekor 2 log is retired and followed by another of Ed25519, and the id of the new one."""
    root = copy.deepcopy(vector.trust["trusted_root"])
    new = copy.deepcopy(root["tlogs"][1])
    root["tlogs"][1]["publicKey"]["validFor"] = LONG_AGO
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    new["publicKey"] |= {"rawBytes": base64.b64encode(der).decode(), "keyDetails": "PKIX_ED25519"}
    log_id = hashlib.sha256(b"log3\n\x01" + key.public_bytes_raw()).digest()
    new["logId"] = {"keyId": base64.b64encode(log_id).decode()}
    root["tlogs"].append(new)
    return root, log_id


def relabel(bundle: dict[str, Any], log_id: bytes) -> None:
    """Say that an entry and the signature of its checkpoint are another log's; neither is signed."""
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    entry["logId"]["keyId"] = base64.b64encode(log_id).decode()
    checkpoint = entry["inclusionProof"]["checkpoint"]
    note, _, lines = checkpoint["envelope"].partition("\n\n")
    dash, name, signature = lines.splitlines()[0].split(" ")
    renamed = base64.b64encode(log_id[:4] + base64.b64decode(signature)[4:]).decode()
    checkpoint["envelope"] = f"{note}\n\n{dash} {name} {renamed}\n"


def test_an_entry_of_a_retired_log_does_not_pass_for_one_of_a_log_in_use(
    vectors: dict[str, Vector], refuse: Refuse
) -> None:
    vector = vectors["keyless-v3-rekor2"]
    root, log_id = retire_second_log(vector)
    vector = replace(vector, trust=vector.trust | {"trusted_root": root})
    bundle = read_bundle(vector)
    assert "no transparency log" in refuse(vector, with_bundle(vector, bundle))
    relabel(bundle, log_id)
    assert "invalid signature" in refuse(vector, with_bundle(vector, bundle))


def test_a_root_whose_certificate_log_has_another_keys_id_is_refused(vectors: dict[str, Vector]) -> None:
    root = copy.deepcopy(vectors["keyless-v3-rekor2"].trust["trusted_root"])
    read_root(root)
    root["ctlogs"][0]["checkpointKeyId"] = {"keyId": "eHh4"}  # that of a log whose checkpoints are signed notes
    read_root(root)
    root["ctlogs"][0]["logId"] = {"keyId": "eHh4"}
    with pytest.raises(InvalidInput, match="not the SHA-256 of its key"):
        read_root(root)


SPELLINGS: dict[str, tuple[Callable[[Json], object], str]] = {
    "a name of protobuf's": (lambda r: r.update(media_type=r.pop("mediaType")), "media_type in another spelling"),
    "a name of protobuf's beside": (lambda r: r.update(ct_logs=r["ctlogs"]), "Extra inputs"),
    "a name in capitals": (lambda r: r.update(TLOGS=r["tlogs"]), "Extra inputs"),
    "a name within in another spelling": (
        lambda r: r["tlogs"][0].update(base_url=r["tlogs"][0].pop("baseUrl")),
        "tlogs[0] has the member base_url in another spelling",
    ),
    "base64 with a line end": (lambda r: _change_log_id(r, lambda text: text[:8] + "\n" + text[8:]), "not base64"),
    "base64 of the other alphabet": (lambda r: _change_log_id(r, lambda _: "_-_-"), "not base64"),
    "base64 with bits behind its end": (lambda r: _change_log_id(r, lambda _: "eHh="), "not base64"),
    "a time in seconds": (lambda r: _validity(r).update(start="1640995200"), "no RFC 3339 time"),
    "a time without its T": (lambda r: _validity(r).update(start="2022-01-01 00:00:00Z"), "no RFC 3339 time"),
}


def _change_log_id(root: Json, change: Callable[[str], str]) -> None:
    log_id = root["tlogs"][0]["logId"]
    log_id["keyId"] = change(log_id["keyId"])


def _validity(root: Json) -> Json:
    found: Json = root["tlogs"][0]["publicKey"]["validFor"]
    return found


@pytest.mark.parametrize("change", SPELLINGS)
def test_a_root_that_others_read_otherwise_is_refused(vectors: dict[str, Vector], change: str) -> None:
    root = copy.deepcopy(vectors["keyless-v3-rekor2"].trust["trusted_root"])
    apply, reason = SPELLINGS[change]
    apply(root)
    with pytest.raises(InvalidInput) as caught:
        read_root(root)
    assert reason in caught.value.message


def test_a_tagged_signature_that_is_falsely_listed_as_a_referrer_is_found(
    vectors: dict[str, Vector], verify: Verify
) -> None:
    vector = vectors["keys-v2"]
    registry = vector.open()
    list_referrers(registry, vector, [registry.tags[signature_tag(vector.digest)]])
    assert verify(vector, registry).format == "legacy-v2"


def test_a_tagged_signature_is_found_behind_a_crowd_of_referrers(vectors: dict[str, Vector], verify: Verify) -> None:
    vector = vectors["keys-v2"]
    registry = vector.open()
    bad = b'{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}'
    crowd = [put_bundle(registry, vector.digest, bad + b" " * number) for number in range(MAX_CANDIDATES + 1)]
    list_referrers(registry, vector, crowd)
    assert verify(vector, registry).format == "legacy-v2"


def test_a_signature_is_found_behind_many_referrers_that_are_none(vectors: dict[str, Vector], verify: Verify) -> None:
    vector = vectors["keys-v3"]
    registry = vector.open()
    good = put_bundle(registry, vector.digest, read_bundle(vector))
    others = [put_bundle(registry, vector.digest, b"%d" % n, media_type="application/spdx+json") for n in range(60)]
    put_referrers(registry, vector.digest, [*others, good])
    assert verify(vector, registry).manifest_digest == good


class SlowRegistry(LayoutRegistry):
    """A registry that takes its time over each signature and counts how often it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.asked = 0
        self.is_away = False

    def read_blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        self.now += MAX_SECONDS / 4
        self.asked += 1
        if self.is_away:
            raise RegistryUnavailable("away")
        return super().read_blob(repository, descriptor, limit=limit)


def slow_registry(vector: Vector, layers: int) -> SlowRegistry:
    """Return a registry that holds one tagged manifest of many bad signatures."""
    registry = SlowRegistry()
    blobs = [registry.add(b"{}" + b" " * number) for number in range(layers)]
    media_type = "application/vnd.dev.cosign.simplesigning.v1+json"
    registry.add_json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": registry.add(b"{}"), "size": 2},
            "layers": [{"mediaType": media_type, "digest": one, "size": 2 + n} for n, one in enumerate(blobs)],
        },
        tag=signature_tag(vector.digest),
    )
    return registry


def search(vector: Vector, registry: SlowRegistry) -> None:
    policy = trust_policy.validate_python(vector.trust)
    assert isinstance(policy, KeysTrust)
    Search(registry, vector.repository, vector.digest, KeysPolicy(policy), lambda: registry.now).run()


def test_a_search_that_takes_too_long_is_given_up_and_tried_again_later(vectors: dict[str, Vector]) -> None:
    vector = vectors["keys-v2"]
    registry = slow_registry(vector, layers=40)
    with pytest.raises(RegistryUnavailable, match="took longer than"):
        search(vector, registry)
    assert registry.asked == 5


def test_in_an_outage_the_rest_of_a_manifest_is_not_asked_for(vectors: dict[str, Vector]) -> None:
    vector = vectors["keys-v2"]
    registry = slow_registry(vector, layers=40)
    registry.is_away = True
    with pytest.raises(RegistryUnavailable, match="away"):
        search(vector, registry)
    assert registry.asked == 3


def test_a_slow_search_that_ends_is_no_outage(vectors: dict[str, Vector]) -> None:
    vector = vectors["keys-v2"]
    with pytest.raises(SignatureRejected):
        search(vector, slow_registry(vector, layers=3))
