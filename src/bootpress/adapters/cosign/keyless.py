"""Keyless bundles of cosign 3, verified through sigstore's public API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from rfc3161_client import decode_timestamp_response
from sigstore.errors import Error as SigstoreError
from sigstore.models import Bundle as SigstoreBundle

from bootpress.adapters.cosign import parsing, signed_payloads
from bootpress.adapters.cosign.bundles import Bundle
from bootpress.adapters.cosign.identities import CertificateIdentity, IdentityRule, check_leaf
from bootpress.adapters.cosign.roots import TrustMaterial
from bootpress.core.errors import SignatureRejected


def verify_bundle(root: TrustMaterial, rule: IdentityRule, bundle: Bundle) -> tuple[CertificateIdentity, datetime]:
    """Return who signed a bundle and when, by its log or time stamp; SignatureRejected otherwise.

    sigstore verifies signature, certificate chain, SCT, log entry and time, with the key of the log that the entry
    names; the times when authorities and logs were in use are checked here.
    """
    times, log_id = _read_times(bundle), _read_log_id(bundle)
    log = root.find_log(log_id, times[0])
    try:
        evidence = SigstoreBundle.from_json(_spell_out(bundle.raw))
        certificate = evidence.signing_certificate
        check_leaf(certificate)
        verified = root.verifier_of(log).verify_dsse(evidence, _AnyIdentity())
    except SigstoreError as error:
        raise SignatureRejected(parsing.error_summary(error)) from error
    if verified != (signed_payloads.PAYLOAD_TYPE, bundle.payload):
        raise SignatureRejected("what was verified is not what was read")
    for moment in times:
        root.check_certificate(certificate, moment)
        root.find_log(log_id, moment)
    return rule.check(certificate), times[0]


def _spell_out(raw: bytes) -> bytes:
    """Write out what protobuf's JSON mapping leaves away and sigstore's models ask for: zeros and empty lists.

    The first entry of a log has them: its index is 0, and while it is alone its proof has no hashes.
    """
    document: dict[str, Any] = json.loads(raw)
    for entry in document["verificationMaterial"]["tlogEntries"]:
        entry.setdefault("logIndex", "0")
        proof = entry.get("inclusionProof")
        if proof is not None:
            proof.setdefault("logIndex", "0")
            proof.setdefault("hashes", [])
    return json.dumps(document).encode()


class _AnyIdentity:
    """Leave the identity to the rule, which is asked once everything else holds."""

    def verify(self, cert: object) -> None:
        """Accept."""


def _read_times(bundle: Bundle) -> list[datetime]:
    """List when the log and the time stamp authorities say it was signed, the log first.

    sigstore has verified the log's promised time and at least one stamp, if any is there, and counts a time that the
    log did not promise as none; all of them must fall into everybody's validity, so it does not matter which it was.
    """
    times = [
        datetime.fromtimestamp(int(entry.integrated_time), UTC)
        for entry in bundle.material.tlog_entries or []
        if entry.integrated_time and entry.inclusion_promise
    ]
    stamps = bundle.material.timestamp_verification_data
    for stamp in stamps.rfc3161_timestamps if stamps else []:
        raw = parsing.decode_base64(stamp.signed_timestamp, what="a time stamp")
        times.append(decode_timestamp_response(raw).tst_info.gen_time)
    if not times:
        raise SignatureRejected("neither a log nor a time stamp says when it was signed")
    return times


def _read_log_id(bundle: Bundle) -> bytes:
    entries = bundle.material.tlog_entries or []
    if len(entries) != 1:
        raise SignatureRejected(f"the bundle has {len(entries)} log entries, not one")
    return parsing.decode_base64(entries[0].log_id.key_id, what="the log's id")
