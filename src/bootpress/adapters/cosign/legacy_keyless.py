"""Keyless signatures of cosign 2: a certificate, and a log's promise to include the signature.

There is no inclusion proof, only the promise (signed entry timestamp), which sigstore's public API does not accept;
cosign does, offline and by default. The chain that comes with the signature is not looked at: authorities are those
of the trusted root.
"""

from __future__ import annotations

from datetime import datetime

from sigstore.errors import Error as SigstoreError

from bootpress.adapters.cosign import keys, parsing, sigstore_private
from bootpress.adapters.cosign.identities import CertificateIdentity, IdentityRule, check_leaf
from bootpress.adapters.cosign.rekor import LogEntry, read_certificate
from bootpress.adapters.cosign.roots import TrustMaterial
from bootpress.adapters.cosign.signature_locations import LegacySignature
from bootpress.core.errors import SignatureRejected


def verify_legacy(
    root: TrustMaterial, rule: IdentityRule, legacy: LegacySignature
) -> tuple[CertificateIdentity, datetime]:
    """Return who signed and when the log took it in; SignatureRejected otherwise."""
    if legacy.certificate is None:
        raise SignatureRejected("it is signed by a bare key, and the platform trusts certificates only")
    if legacy.log_entry is None:
        raise SignatureRejected("it carries no log entry")
    certificate, entry = read_certificate(legacy.certificate.encode()), LogEntry(legacy.log_entry)
    entry.check_subject(payload=legacy.payload, signature=legacy.signature, certificate=certificate)
    check_leaf(certificate)
    at = entry.integrated_at
    if not root.find_log(entry.log_id, at).key.verifies(entry.promise, entry.promised_bytes):
        raise SignatureRejected("the log did not sign the log entry")
    try:
        sigstore_private.verify_certificate(root.verifier, root.trusted, certificate, at)
    except SigstoreError as error:
        raise SignatureRejected(parsing.error_summary(error)) from error
    root.check_certificate(certificate, at)
    if not keys.wrap(certificate.public_key()).verifies(legacy.signature, legacy.payload):
        raise SignatureRejected("the signature does not hold")
    return rule.check(certificate), at
