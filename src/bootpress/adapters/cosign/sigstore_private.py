"""The only place that touches sigstore's private names; the version is pinned exactly.

What cosign 2 leaves with a keyless signature has no inclusion proof, and sigstore's public API takes nothing without
one. The two checks it makes on a certificate are the same for both formats, so they are borrowed from it rather than
written again. tests/unit/adapters/cosign/test_sigstore_private.py fails when one of these names changes.
"""

from __future__ import annotations

from datetime import datetime

from cryptography.x509 import Certificate
from sigstore._internal.sct import verify_sct
from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult
from sigstore._internal.trust import KeyringPurpose
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.trustroot.v1 import TrustedRoot as Document


def read_document(root: TrustedRoot) -> Document:
    """Return the document that a trusted root was made from."""
    return root._inner  # noqa: SLF001 - a trusted root shows neither its keys nor their validity


def check_keys(root: TrustedRoot) -> None:
    """Make sure that a root has log and certificate log keys that count already; sigstore's Error otherwise."""
    root.rekor_keyring(KeyringPurpose.VERIFY)
    root.ct_keyring(KeyringPurpose.VERIFY)


def verify_certificate(verifier: Verifier, root: TrustedRoot, certificate: Certificate, at: datetime) -> None:
    """Check a leaf's chain to the root's authorities at a moment, and its one SCT; sigstore's Error otherwise."""
    moment = TimestampVerificationResult(source=TimestampSource.TRANSPARENCY_SERVICE, time=at)
    chain = verifier._verify_chain_at_time(certificate, moment)  # noqa: SLF001 - see above
    verify_sct(certificate, chain, root.ct_keyring(KeyringPurpose.VERIFY))
