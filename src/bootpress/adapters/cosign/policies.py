"""A trust policy, compiled: what it takes for a signature of either format to be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from bootpress.adapters.cosign import keys
from bootpress.adapters.cosign.bundles import Bundle
from bootpress.adapters.cosign.identities import CertificateIdentity, Expression, IdentityRule
from bootpress.adapters.cosign.public_good import PublicGoodRoot
from bootpress.adapters.cosign.rekor import LogEntry
from bootpress.adapters.cosign.signature_locations import LegacySignature
from bootpress.core.errors import InvalidInput, SignatureRejected
from bootpress.core.platforms.trust import KeylessTrust, KeysTrust, TrustPolicy
from bootpress.core.ports import Signer

if TYPE_CHECKING:
    from bootpress.adapters.cosign.roots import TrustMaterial


@dataclass(frozen=True, slots=True)
class VerifiedSigner:
    """Who signed, and when, where a log or time stamp proves it."""

    signer: Signer
    signed_at: datetime | None


class Policy(Protocol):
    """One way to trust: by certificate or by key, never by the other."""

    def check(self, signature: Bundle | LegacySignature) -> VerifiedSigner:
        """Return who signed, if the policy trusts them; SignatureRejected otherwise."""


class KeysPolicy:
    """Trust signatures by any of these keys, logged or not; no certificate is ever looked at."""

    def __init__(self, trust: KeysTrust) -> None:
        self._keys: list[keys.PublicKey] = []
        for position, pem in enumerate(trust.public_keys):
            self._add(pem, field=f"trust.public_keys.{position}")

    def _add(self, pem: str, *, field: str) -> None:
        try:
            key = keys.load_pem(pem)
        except InvalidInput as error:
            raise InvalidInput(f"{field}: {error.message}", hint=error.hint, field=field) from error
        if any(key.sha256 == other.sha256 for other in self._keys):
            raise InvalidInput(f"{field}: this key is named twice", hint="name each key once", field=field)
        self._keys.append(key)

    def check(self, signature: Bundle | LegacySignature) -> VerifiedSigner:
        """Return the key that signed."""
        if isinstance(signature, Bundle):
            is_by_key, message = signature.has_key and not signature.has_certificate, signature.signed_bytes
        else:
            is_by_key, message = signature.certificate is None, signature.payload
            if signature.log_entry is not None:
                LogEntry(signature.log_entry)  # proves nothing here, but what cosign would refuse to read is refused
        if not is_by_key:
            raise SignatureRejected("it is not signed by a bare key, and the platform trusts keys only")
        for key in self._keys:
            if key.verifies(signature.signature, message):
                return VerifiedSigner(Signer(mode="keys", key_sha256=key.sha256), None)
        count = len(self._keys)
        raise SignatureRejected(
            "signed by another key" if count == 1 else f"signed by none of the {count} keys that the platform trusts",
            hint="the platform trusts SHA-256 " + ", ".join(key.sha256[:16] + "…" for key in self._keys),
        )


class KeylessPolicy:
    """Trust signatures by certificates of a trusted root whose identity and issuer match; never a bare key."""

    def __init__(self, trust: KeylessTrust, public_good: PublicGoodRoot) -> None:
        self._rule = _identity_rule(trust)
        self._public_good = public_good
        self._root = _read_root(trust.trusted_root)

    def check(self, signature: Bundle | LegacySignature) -> VerifiedSigner:
        """Return the identity that signed; TrustRootUnavailable while the public-good root cannot be had."""
        root = self._root or self._public_good.get()
        claims, signed_at = self._verify(root, signature)
        return VerifiedSigner(Signer(mode="keyless", identity=claims.identity, issuer=claims.issuer), signed_at)

    def _verify(self, root: TrustMaterial, signature: Bundle | LegacySignature) -> tuple[CertificateIdentity, datetime]:
        from bootpress.adapters.cosign import keyless, legacy_keyless  # noqa: PLC0415 - half a second; see the package

        if isinstance(signature, LegacySignature):
            return legacy_keyless.verify_legacy(root, self._rule, signature)
        if signature.has_key or not signature.has_certificate:
            raise SignatureRejected("it is signed by a bare key, and the platform trusts certificates only")
        return keyless.verify_bundle(root, self._rule, signature)


def trusts(trust: TrustPolicy, signer: Signer) -> bool:
    """Tell whether a policy names this signer: one of its keys, or an identity and issuer that it matches."""
    match trust:
        case KeysTrust():
            known = {keys.load_pem(pem).sha256 for pem in trust.public_keys}
            return signer.mode == "keys" and signer.key_sha256 in known
        case KeylessTrust():
            if signer.mode != "keyless" or signer.identity is None or signer.issuer is None:
                return False
            try:
                _identity_rule(trust).check_claims(CertificateIdentity(signer.identity, signer.issuer))
            except SignatureRejected:
                return False
            return True


def _identity_rule(trust: KeylessTrust) -> IdentityRule:
    return IdentityRule(
        Expression(trust.cosign_identity_regexp, field="trust.cosign_identity_regexp"),
        Expression(trust.cosign_issuer_regexp, field="trust.cosign_issuer_regexp"),
    )


def _read_root(trusted_root: Literal["public-good"] | dict[str, Any]) -> TrustMaterial | None:
    from bootpress.adapters.cosign import roots  # noqa: PLC0415 - half a second; see the package

    return None if trusted_root == "public-good" else roots.read_root(trusted_root)
