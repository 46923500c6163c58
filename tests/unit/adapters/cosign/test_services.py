"""What services of the tests' own sign honestly is accepted, in every format; their lies are in tests/adversarial."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from bootpress.adapters.cosign.roots import read_root
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import SignatureRejected
from bootpress.core.platforms.trust import trust_policy
from bootpress.core.ports import VerifiedSignature
from bootpress.core.references import Repository
from tests.support.attack_scenarios import COSIGN_2, FORMATS, REKOR_1, SERVICES, TRUST, AttackScenario, Signed
from tests.support.sigstore_services import HONEST, IDENTITY, ISSUER, NOW, START, Lies

REPOSITORY = Repository("registry.example", "os/images")
every_format = pytest.mark.parametrize("format_", FORMATS)


def verify(scene: AttackScenario, trust: Mapping[str, Any] = TRUST) -> VerifiedSignature:
    return CosignVerifier().verify(scene.registry, REPOSITORY, scene.digest, trust_policy.validate_python(trust))


@every_format
def test_what_they_sign_honestly_is_accepted(format_: str) -> None:
    found = verify(Signed(format_)())
    assert found.format == ("legacy-v2" if format_ == COSIGN_2 else "bundle-v3")
    assert found.signed_at == NOW
    assert (found.signer.identity, found.signer.issuer) == (IDENTITY, ISSUER)


@every_format
@pytest.mark.parametrize("seconds", [0, 600])
def test_a_signature_at_either_end_of_its_certificate_is_accepted(format_: str, seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    assert verify(Signed(format_, Lies(at=at))()).signed_at == at


@every_format
def test_a_signature_outlives_its_services(format_: str) -> None:
    """Closed later, certificates, logs and stamps still prove what they proved."""
    closed = {"start": START.isoformat(), "end": (NOW + timedelta(seconds=1)).isoformat()}
    root = copy.deepcopy(TRUST["trusted_root"])
    for service in (*root["certificateAuthorities"], *root["timestampAuthorities"]):
        service.update(validFor=closed)
    for log in (*root["tlogs"], *root["ctlogs"]):
        log["publicKey"].update(validFor=closed)

    assert verify(Signed(format_)(), TRUST | {"trusted_root": root}).signer.mode == "keyless"


def test_a_log_that_tells_the_time_may_be_stamped_too() -> None:
    stamped = Lies(stamps=lambda authority, signature: [authority.stamp(signature, NOW)])
    assert verify(Signed(REKOR_1, stamped)()).signed_at == NOW


@pytest.mark.parametrize("seconds", [-1, 601])
def test_every_time_that_is_told_must_lie_within_the_certificate(seconds: int) -> None:
    """Those that sigstore did not look at included, such as a second stamp."""
    certificate = SERVICES.issue(HONEST).certificate
    with pytest.raises(SignatureRejected, match="was not valid when it was used"):
        read_root(TRUST["trusted_root"]).check_certificate(certificate, NOW + timedelta(seconds=seconds))
