"""What dishonest services sign is rejected: for each rule a signature that breaks that one alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from bootpress.adapters.cosign.roots import read_root
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import SignatureRejected
from bootpress.core.platforms.trust import KeylessTrust
from bootpress.core.ports import VerifiedSignature
from bootpress.core.references import Repository
from tests.support.layouts import INDEX, MANIFEST, LayoutRegistry
from tests.support.sigstore_services import HONEST, IDENTITY, ISSUER, NOW, START, Lies, Services
from tests.unit.adapters.cosign.mutations import SIMPLE_SIGNING, put_bundle

SERVICES = Services()
ROOT = SERVICES.trusted_root()
DIGEST = "sha256:" + "ab" * 32
REPOSITORY = Repository("registry.example", "os/images")
FORMATS = ["bundle-v3", "legacy-v2"]
in_both_formats = pytest.mark.parametrize("format_", FORMATS)


def sign(services: Services, format_: str, lies: Lies = HONEST) -> LayoutRegistry:
    """Return a registry with one signature by these services."""
    registry = LayoutRegistry()
    if format_ == "bundle-v3":
        child = put_bundle(registry, DIGEST, services.make_bundle(DIGEST, lies))
        children = [{"mediaType": MANIFEST, "digest": child, "size": 1}]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
        registry.add_json(index, tag=DIGEST.replace(":", "-"))
        return registry
    payload, annotations = services.make_legacy(DIGEST, lies)
    layer = {"mediaType": SIMPLE_SIGNING, "digest": registry.add(payload), "size": len(payload)}
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": registry.add(b"{}"), "size": 2}
    layers = [layer | {"annotations": annotations}]
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    registry.add_json(manifest, tag=DIGEST.replace(":", "-") + ".sig")
    return registry


def verify(registry: LayoutRegistry, root: dict[str, Any] = ROOT) -> VerifiedSignature:
    policy = KeylessTrust(
        mode="keyless",
        cosign_identity_regexp=r"https://forge\.example/os/images/.*@refs/heads/main",
        cosign_issuer_regexp=r"https://forge\.example",
        trusted_root=root,
    )
    return CosignVerifier().verify(registry, REPOSITORY, DIGEST, policy)


@in_both_formats
def test_what_they_sign_honestly_is_accepted(format_: str) -> None:
    found = verify(sign(SERVICES, format_))
    assert (found.format, found.signed_at) == (format_, NOW)
    assert (found.signer.identity, found.signer.issuer) == (IDENTITY, ISSUER)


@in_both_formats
@pytest.mark.parametrize("seconds", [0, 600])
def test_a_signature_at_either_end_of_its_certificate_is_accepted(format_: str, seconds: int) -> None:
    at = NOW + timedelta(seconds=seconds)
    assert verify(sign(SERVICES, format_, Lies(at=at))).signed_at == at


def _swap_signature(entry: dict[str, Any]) -> None:
    spec = entry["spec"]
    if entry["kind"] == "dsse":
        spec["signatures"][0]["signature"] = "AAAA"
    else:
        spec["signature"]["content"] = "AAAA"


def _swap_payload(entry: dict[str, Any]) -> None:
    spec = entry["spec"]
    (spec["payloadHash"] if entry["kind"] == "dsse" else spec["data"]["hash"])["value"] = "0" * 64


LIES: dict[str, tuple[Lies, str]] = {
    "logged before the certificate": (Lies(at=NOW - timedelta(seconds=1)), "not valid"),
    "logged after the certificate": (Lies(at=NOW + timedelta(minutes=10, seconds=1)), "not valid"),
    "no SCT": (Lies(scts=0), "signed certificate timestamp"),
    "two SCTs": (Lies(scts=2), "certificate timestamp"),
    "SCT from before the certificate log": (Lies(sct_at=START - timedelta(days=1)), "no certificate log"),
    "two identities": (Lies(names=[x509.UniformResourceIdentifier(IDENTITY)] * 2), "names 2 identities"),
    "a second identity": (
        Lies(names=[x509.UniformResourceIdentifier(IDENTITY), x509.RFC822Name("m@mallory.example")]),
        "names 2 identities",
    ),
    "no identity": (Lies(names=[]), "missing required extension"),
    "identity with a line break": (Lies(names=[x509.UniformResourceIdentifier(IDENTITY + "\n")]), "printable"),
    "identity with more behind": (Lies(names=[x509.UniformResourceIdentifier(IDENTITY + "2")]), "another identity"),
    "identity in a query": (
        Lies(names=[x509.UniformResourceIdentifier("https://mallory.example/?" + IDENTITY)]),
        "another identity",
    ),
    "issuer with more behind": (Lies(issuer=ISSUER + ".mallory.example"), "another issuer"),
    "issuer cut": (Lies(issuer=ISSUER[:-1]), "another issuer"),
    "an authority as signer": (Lies(is_authority=True), "not one to sign code with"),
    "a server's certificate": (Lies(purpose=ExtendedKeyUsageOID.SERVER_AUTH), "not one to sign code with"),
    "signed by another key than the certificate's": (Lies(is_forged=True), "does not hold|invalid signature"),
    "entry of another kind": (
        Lies(change_entry=lambda entry: entry.update(kind="intoto")),
        "not a hashedrekord|only supported for",
    ),
    "entry of another version": (
        Lies(change_entry=lambda entry: entry.update(apiVersion="0.0.2")),
        "not a hashedrekord|only supported for",
    ),
    "entry of another signature": (Lies(change_entry=_swap_signature), "of another signature|do not match bundle"),
    "entry of another payload": (Lies(change_entry=_swap_payload), "of another payload|does not match bundle"),
}
CHECKPOINT_LIES: dict[str, Lies] = {
    "checkpoint of another root": Lies(
        change_checkpoint=lambda text: text.replace(text.split("\n")[2], "A" * 43 + "=")
    ),
    "checkpoint of nothing": Lies(change_checkpoint=lambda text: "\n".join(text.split("\n")[:1]) + "\n"),
    "checkpoint of no size": Lies(change_checkpoint=lambda text: text.replace("\n1\n", "\nx\n")),
}


@in_both_formats
@pytest.mark.parametrize("lie", sorted(LIES))
def test_a_dishonest_signature_is_rejected(format_: str, lie: str) -> None:
    lies, reason = LIES[lie]
    with pytest.raises(SignatureRejected, match=reason):
        verify(sign(SERVICES, format_, lies))


@pytest.mark.parametrize("lie", sorted(CHECKPOINT_LIES))
def test_a_dishonest_checkpoint_is_rejected(lie: str) -> None:
    with pytest.raises(SignatureRejected):
        verify(sign(SERVICES, "bundle-v3", CHECKPOINT_LIES[lie]))


@in_both_formats
def test_services_of_the_same_names_with_other_keys_are_rejected(format_: str) -> None:
    with pytest.raises(SignatureRejected):
        verify(sign(Services(), format_))


@in_both_formats
@pytest.mark.parametrize("part", ["log_key", "ct_key"])
def test_a_look_alike_log_is_rejected(format_: str, part: str) -> None:
    services = copy.copy(SERVICES)
    setattr(services, part, getattr(Services(), part))
    with pytest.raises(SignatureRejected):
        verify(sign(services, format_))


@in_both_formats
def test_a_look_alike_authority_is_rejected(format_: str) -> None:
    services = Services()
    services.log_key, services.ct_key = SERVICES.log_key, SERVICES.ct_key
    with pytest.raises(SignatureRejected, match="certificate chain"):
        verify(sign(services, format_))


def change_root(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    root = copy.deepcopy(ROOT)
    change(root)
    return root


BEFORE = {"start": START.isoformat(), "end": (NOW - timedelta(seconds=1)).isoformat()}
AFTER = {"start": (NOW + timedelta(seconds=1)).isoformat()}
ROOTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "the log was closed": (lambda r: r["tlogs"][0]["publicKey"].update(validFor=BEFORE), "no transparency log"),
    "the log was not yet open": (lambda r: r["tlogs"][0]["publicKey"].update(validFor=AFTER), "no transparency log"),
    "the authority was closed": (
        lambda r: r["certificateAuthorities"][0].update(validFor=BEFORE),
        "no certificate auth",
    ),
    "the authority was not yet open": (
        lambda r: r["certificateAuthorities"][0].update(validFor=AFTER),
        "no certificate auth",
    ),
    "the certificate log was closed": (
        lambda r: r["ctlogs"][0]["publicKey"].update(validFor=BEFORE),
        "no certificate log",
    ),
    "the certificate log was not yet open": (
        lambda r: r["ctlogs"][0]["publicKey"].update(validFor=AFTER),
        "no certificate log",
    ),
    "the log has another id": (lambda r: r["tlogs"][0].update(logId={"keyId": "eHh4"}), "no transparency log"),
    "the certificate log has another id": (
        lambda r: r["ctlogs"][0].update(logId={"keyId": "eHh4"}),
        "no certificate log",
    ),
}


@in_both_formats
@pytest.mark.parametrize("case", sorted(ROOTS))
def test_services_count_only_while_the_root_says_they_were_in_use(format_: str, case: str) -> None:
    change, reason = ROOTS[case]
    with pytest.raises(SignatureRejected, match=reason):
        verify(sign(SERVICES, format_), change_root(change))


@in_both_formats
def test_a_signature_outlives_its_services(format_: str) -> None:
    """Closed later, certificates and logs still prove what they proved."""
    closed = {"start": START.isoformat(), "end": (NOW + timedelta(seconds=1)).isoformat()}

    def close(root: dict[str, Any]) -> None:
        root["certificateAuthorities"][0].update(validFor=closed)
        for log in (*root["tlogs"], *root["ctlogs"]):
            log["publicKey"].update(validFor=closed)

    assert verify(sign(SERVICES, format_), change_root(close)).signer.mode == "keyless"


@pytest.mark.parametrize("seconds", [-1, 601])
def test_every_time_that_is_told_must_lie_within_the_certificate(seconds: int) -> None:
    """Those that sigstore did not look at included, such as a second stamp."""
    with pytest.raises(SignatureRejected, match="was not valid when it was used"):
        read_root(ROOT).check_certificate(SERVICES.issue().certificate, NOW + timedelta(seconds=seconds))
