"""The contract with sigstore's private names: fails by name when an upgrade changes what we borrow."""

from __future__ import annotations

import inspect
import json
from datetime import UTC, datetime, timedelta
from importlib import metadata, resources

import pytest
import sigstore._store
from cryptography.x509 import load_pem_x509_certificate
from sigstore._internal.sct import verify_sct
from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult
from sigstore._internal.trust import KeyringPurpose
from sigstore.errors import CertValidationError, MetadataError, VerificationError
from sigstore.verify import Verifier

from bootpress.adapters.cosign import sigstore_private
from bootpress.adapters.cosign.roots import TrustMaterial, read_root
from tests.support.mutations import CERTIFICATE, read_legacy
from tests.support.sigstore_services import NOW, Lies, Services
from tests.support.vectors import load_vectors, trusted_root


@pytest.fixture(scope="module")
def root() -> TrustMaterial:
    return read_root(trusted_root())


def test_the_version_is_the_one_that_was_read() -> None:
    """On an upgrade: read verify/verifier.py (steps 0 to 6) and _internal/sct.py again, then change this line."""
    assert metadata.version("sigstore") == "4.5.1"


def test_what_is_borrowed_has_the_parameters_it_is_called_with() -> None:
    assert list(inspect.signature(Verifier._verify_chain_at_time).parameters) == [
        "self",
        "certificate",
        "timestamp_result",
    ]
    assert list(inspect.signature(verify_sct).parameters) == ["cert", "chain", "ct_keyring"]
    assert list(inspect.signature(TimestampVerificationResult).parameters) == ["source", "time"]
    assert "TRANSPARENCY_SERVICE" in TimestampSource.__members__
    assert "VERIFY" in KeyringPurpose.__members__


def test_the_document_of_a_root_is_what_it_was_made_from(root: TrustMaterial) -> None:
    document = sigstore_private.read_document(root.trusted)
    assert [log.base_url for log in document.tlogs] == [log["baseUrl"] for log in trusted_root()["tlogs"]]
    assert len(document.certificate_authorities) == len(document.ctlogs) == 1


def test_a_certificate_of_a_real_fulcio_passes_at_its_time_alone(root: TrustMaterial) -> None:
    leaf = load_pem_x509_certificate(read_legacy(load_vectors()["keyless-v2"])[1][CERTIFICATE].encode())
    signed = leaf.not_valid_before_utc + timedelta(seconds=1)

    sigstore_private.verify_certificate(root.verifier, root.trusted, leaf, signed)
    for at in (signed - timedelta(hours=1), signed + timedelta(hours=1)):
        with pytest.raises(CertValidationError):
            sigstore_private.verify_certificate(root.verifier, root.trusted, leaf, at)


def test_a_certificate_that_was_not_logged_fails() -> None:
    services = Services()
    root = read_root(services.trusted_root())

    sigstore_private.verify_certificate(root.verifier, root.trusted, services.issue().certificate, NOW)
    with pytest.raises(VerificationError, match="signed certificate timestamp"):
        sigstore_private.verify_certificate(root.verifier, root.trusted, services.issue(Lies(scts=0)).certificate, NOW)


def test_a_certificate_of_another_authority_or_log_fails() -> None:
    services, strangers = Services(), Services()
    ours = read_root(services.trusted_root())
    with pytest.raises(CertValidationError):
        sigstore_private.verify_certificate(ours.verifier, ours.trusted, strangers.issue().certificate, NOW)
    services.authority.ct_key = strangers.authority.ct_key
    with pytest.raises(VerificationError, match="SCT"):
        sigstore_private.verify_certificate(ours.verifier, ours.trusted, services.issue().certificate, NOW)


def test_a_root_whose_logs_have_not_begun_fails() -> None:
    document = Services().trusted_root()
    later = {"start": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    document["ctlogs"][0]["publicKey"]["validFor"] = later
    with pytest.raises(Exception, match="CTFE keys not found") as caught:
        read_root(document)
    assert isinstance(caught.value.__cause__, MetadataError)


def test_the_root_of_the_public_services_is_read() -> None:
    """As it came with this version of sigstore; the one in use comes through TUF."""
    store = resources.files(sigstore._store) / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev" / "trusted_root.json"
    root = read_root(json.loads(store.read_bytes()))
    assert len(root._authorities) >= 2
    assert len(root._logs) >= 2
