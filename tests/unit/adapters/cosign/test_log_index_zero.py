"""The first entry of a log is written without its zeros, as protobuf's JSON mapping has it (proto3, JSON mapping)."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from bootpress.core.errors import SignatureRejected
from bootpress.core.platforms.trust import trust_policy
from bootpress.core.ports import VerifiedSignature
from bootpress.core.references import Repository
from tests.support.attack_scenarios import SERVICES, TRUST, make_image
from tests.support.core_harness import VERIFIER
from tests.support.layouts import LayoutRegistry
from tests.support.mutations import put_bundle, put_referrers
from tests.support.sigstore_services.logs import Log

REPOSITORY = Repository("registry.example", "os/images")
both_rekors = pytest.mark.parametrize("rekor", [1, 2])


def verify_first(rekor: int, *, without: tuple[str, ...] = ()) -> VerifiedSignature:
    """Verify what the log took in first, as cosign writes it; leave these members of its proof away as well."""
    registry = LayoutRegistry()
    digest = make_image(registry)
    bundle = SERVICES.make_bundle(digest, rekor=rekor)
    [entry] = bundle["verificationMaterial"]["tlogEntries"]
    _make_first(entry, SERVICES.log if rekor == 1 else SERVICES.timeless_log)
    for name in without:
        del entry["inclusionProof"][name]
    put_referrers(registry, digest, [put_bundle(registry, digest, bundle)])
    return VERIFIER.verify(registry, REPOSITORY, digest, trust_policy.validate_python(TRUST))


def _make_first(entry: dict[str, Any], log: Log) -> None:
    """Let an entry be alone in its log: its index is 0, its leaf is the root, and neither is written out."""
    body = entry["canonicalizedBody"]
    root = base64.b64encode(hashlib.sha256(b"\0" + base64.b64decode(body)).digest()).decode()
    checkpoint = {"envelope": log.sign_checkpoint(f"{log.name}\n1\n{root}\n")}
    entry["inclusionProof"] = {"rootHash": root, "treeSize": "1", "checkpoint": checkpoint}
    del entry["logIndex"]
    if "inclusionPromise" in entry:
        promised = {"body": body, "integratedTime": int(entry["integratedTime"]), "logID": log.id.hex(), "logIndex": 0}
        signed = log._sign(json.dumps(promised, separators=(",", ":")).encode())
        entry["inclusionPromise"] = {"signedEntryTimestamp": base64.b64encode(signed).decode()}


@both_rekors
def test_the_first_entry_of_a_log_is_accepted(rekor: int) -> None:
    assert verify_first(rekor).signer.mode == "keyless"


@both_rekors
@pytest.mark.parametrize("name", ["rootHash", "treeSize", "checkpoint"])
def test_what_cannot_be_zero_is_not_made_up(rekor: int, name: str) -> None:
    with pytest.raises(SignatureRejected):
        verify_first(rekor, without=(name,))
