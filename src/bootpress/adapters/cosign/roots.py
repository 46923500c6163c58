"""Trusted roots: whose certificates, logs and time stamps are believed, and for which time.

sigstore checks the cryptography, but not when an authority or a log was in use (sigstore-go, which cosign 3 is built
on, does), and tries every log's key on an entry whose log id is not the SHA-256 of a key, which those of Rekor 2 are
not. Here the times are checked, and an entry is verified with the key of the log it names and no other.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from sigstore.errors import Error as SigstoreError
from sigstore.models import ClientTrustConfig, TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.common.v1 import TimeRange
from sigstore_models.trustroot.v1 import CertificateAuthority, TransparencyLogInstance
from sigstore_models.trustroot.v1 import TrustedRoot as Document

from bootpress.adapters.cosign import keys, sigstore_private
from bootpress.adapters.cosign.parsing import error_summary
from bootpress.core.errors import InvalidInput, SignatureRejected

_MAX_DOCUMENT = 256 * 1024
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Window:
    start: datetime
    end: datetime | None

    def holds(self, moment: datetime) -> bool:
        return self.start <= moment and (self.end is None or moment <= self.end)


@dataclass(frozen=True, slots=True)
class Log:
    """A transparency log: the ids that entries name it by, its key, and when it was in use."""

    ids: frozenset[bytes]
    key: keys.PublicKey
    window: _Window
    instance: TransparencyLogInstance


class TrustMaterial:
    """A trusted root, read once; shared by threads."""

    def __init__(self, trusted: TrustedRoot) -> None:
        document = sigstore_private.read_document(trusted)
        self.trusted = trusted
        self.verifier = Verifier(trusted_root=trusted)
        sigstore_private.check_keys(trusted)
        self._logs = [_read_log(instance) for instance in document.tlogs]
        self._ct_logs = [_read_ct_log(instance) for instance in document.ctlogs]
        self._authorities = [_read_authority(authority) for authority in document.certificate_authorities]

        self._verifier_of = functools.lru_cache(maxsize=None)(functools.partial(_verifier_of, document, self._logs))

    def find_log(self, log_id: bytes, at: datetime) -> Log:
        """Return the log of that id, in use at that moment; SignatureRejected if the root names none."""
        return _find_log(self._logs, log_id, at, what="transparency log")

    def verifier_of(self, log: Log) -> Verifier:
        """Return a verifier that believes this log, and no other of the root's."""
        return self._verifier_of(self._logs.index(log))

    def check_certificate(self, certificate: x509.Certificate, at: datetime) -> None:
        """Make sure that issuer and CT log of a leaf are of this root, and that all of them were in use at `at`.

        Checks no signature but the issuer's; the chain and the SCT are sigstore's to verify.
        """
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise SignatureRejected(f"the certificate was not valid when it was used, at {at.isoformat()}")
        if not any(window.holds(at) and _issued(issuer, certificate, at) for issuer, window in self._authorities):
            raise SignatureRejected("no certificate authority of the trusted root issued the certificate at that time")
        scts = certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
        for sct in scts:
            _find_log(self._ct_logs, sct.log_id, sct.timestamp.replace(tzinfo=UTC), what="certificate log")


def read_root(document: dict[str, Any]) -> TrustMaterial:
    """Read a trusted root (Sigstore's trusted_root.json); InvalidInput for anything else."""
    field = "trust.trusted_root"
    try:
        text = json.dumps(document, allow_nan=False)
        if len(text) > _MAX_DOCUMENT:
            raise InvalidInput(f"the trusted root is larger than {_MAX_DOCUMENT} bytes", field=field)
        trusted = _parse(text)
        _check_spelling(document, sigstore_private.read_document(trusted).model_dump(by_alias=True, exclude_unset=True))
        return TrustMaterial(trusted)
    except (SigstoreError, ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(
            f"the trusted root cannot be read: {error_summary(error)}",
            hint="give the content of a trusted_root.json, as `cosign trusted-root create` writes it",
            field=field,
        ) from error


def _parse(text: str) -> TrustedRoot:
    """Read a trusted root through the public API, which reads JSON only as part of a client configuration."""
    signing = '{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}'
    media_type = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
    return ClientTrustConfig.from_json(
        f'{{"mediaType": "{media_type}", "trustedRoot": {text}, "signingConfig": {signing}}}'
    ).trusted_root


def _check_spelling(stated: Any, read: Any, place: str = "it") -> None:
    """Refuse what sigstore's models read and would write otherwise; ValueError says where.

    They take a member under its protobuf name too, base64 with anything in between, and ` 1` and `1_0` as numbers.
    """
    match read:
        case dict():
            if stated.keys() != read.keys():
                raise ValueError(f"{place} has the member {min(stated.keys() - read.keys())} in another spelling")
            for name, value in read.items():
                _check_spelling(stated[name], value, f"{place}.{name}")
        case list():
            for number, (one, other) in enumerate(zip(stated, read, strict=True)):
                _check_spelling(one, other, f"{place}[{number}]")
        case datetime():
            if not _TIME.fullmatch(stated):
                raise ValueError(f"{place} is no RFC 3339 time")
        case bytes() if stated.encode() != read:
            raise ValueError(f"{place} is not base64 as every reader reads it")
        case _ if not isinstance(read, bytes) and stated != read:
            raise ValueError(f"{place} is written in another way than its reader writes it")


def _read_window(period: TimeRange | None) -> _Window:
    if period is None:
        return _Window(datetime.min.replace(tzinfo=UTC), None)
    if period.start.tzinfo is None or (period.end is not None and period.end.tzinfo is None):
        raise ValueError("a validity period lacks its time zone")
    return _Window(period.start, period.end)


def _read_log(instance: TransparencyLogInstance) -> Log:
    ids = {instance.log_id.key_id}
    if instance.checkpoint_key_id is not None:
        ids.add(instance.checkpoint_key_id.key_id)
    key = keys.load_der(instance.public_key.raw_bytes or b"")
    return Log(frozenset(ids), key, _read_window(instance.public_key.valid_for), instance)


def _read_ct_log(instance: TransparencyLogInstance) -> Log:
    """Read a certificate log, which SCTs name by the SHA-256 of its key (RFC 6962, section 3.2) and nothing else.

    Any other id sigstore would not know, and try every key on it.
    """
    key_id = hashlib.sha256(instance.public_key.raw_bytes or b"").digest()
    if instance.log_id.key_id != key_id:
        raise ValueError("the id of a certificate log is not the SHA-256 of its key")
    return dataclasses.replace(_read_log(instance), ids=frozenset({key_id}))


def _verifier_of(document: Document, logs: Sequence[Log], position: int) -> Verifier:
    return Verifier(trusted_root=TrustedRoot(document.model_copy(update={"tlogs": [logs[position].instance]})))


def _read_authority(authority: CertificateAuthority) -> tuple[x509.Certificate, _Window]:
    """Return the certificate that issues leaves (the first of its chain), and when the authority was in use."""
    first = authority.cert_chain.certificates[0]
    return x509.load_der_x509_certificate(first.raw_bytes), _read_window(authority.valid_for)


def _find_log(logs: Sequence[Log], log_id: bytes, at: datetime, *, what: str) -> Log:
    for log in logs:
        if log_id in log.ids and log.window.holds(at):
            return log
    raise SignatureRejected(f"no {what} {log_id.hex()[:64]} was in use at {at.isoformat()} by the trusted root")


def _issued(issuer: x509.Certificate, certificate: x509.Certificate, at: datetime) -> bool:
    if not issuer.not_valid_before_utc <= at <= issuer.not_valid_after_utc:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
