"""Who a Fulcio certificate speaks for, and whether that is whom the policy names.

Fulcio's extensions: github.com/sigstore/fulcio, docs/oid-info.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import re2
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.x509.oid import ExtendedKeyUsageOID

from bootpress.adapters.cosign.parsing import quoted
from bootpress.core.errors import InvalidInput, SignatureRejected
from bootpress.core.texts import shown

_ISSUER_RAW = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_DER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_EXPRESSION_MEMORY = 1 << 20
"""Bytes that one compiled expression may use; RE2 refuses what does not fit and matches in linear time."""


@dataclass(frozen=True, slots=True)
class CertificateIdentity:
    """Who signed (URI or mail address) and who vouched for them (the OIDC issuer)."""

    identity: str
    issuer: str


class Expression:
    """A regular expression in cosign's syntax (RE2) that must match a whole value."""

    def __init__(self, text: str, *, field: str) -> None:
        options = re2.Options()
        options.max_mem = _EXPRESSION_MEMORY
        options.log_errors = False
        try:
            self._compiled = re2.compile(text, options)
        except (re2.error, UnicodeError) as error:
            reason = error.args[0] if error.args else ""
            reason = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
            raise InvalidInput(
                f"{field} is not a regular expression: {shown(reason)}",
                hint="the syntax is RE2, as in cosign",
                field=field,
            ) from error
        self.text = text

    def matches(self, value: str) -> bool:
        """Tell whether the expression matches all of `value`."""
        return self._compiled.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """The identity and issuer that a keyless policy trusts."""

    identity: Expression
    issuer: Expression

    def check(self, certificate: x509.Certificate) -> CertificateIdentity:
        """Return who the certificate speaks for, if the policy trusts them; SignatureRejected otherwise."""
        claims = read_claims(certificate)
        self.check_claims(claims)
        return claims

    def check_claims(self, claims: CertificateIdentity) -> None:
        """Raise SignatureRejected unless both names are those that the policy trusts."""
        for name, value, expression in (
            ("identity", claims.identity, self.identity),
            ("issuer", claims.issuer, self.issuer),
        ):
            if not expression.matches(value):
                raise SignatureRejected(
                    f"signed by another {name}: {quoted(value, 500)}",
                    hint=f"the platform trusts an {name} that {quoted(expression.text, 500)} matches as a whole",
                )


def read_claims(certificate: x509.Certificate) -> CertificateIdentity:
    """Read the one subject alternative name and the issuer of a leaf certificate; SignatureRejected otherwise.

    Control characters never belong to either, and would let one line look like two to whoever reads it.
    """
    claims = CertificateIdentity(_read_identity(certificate), _read_issuer(certificate))
    for value in (claims.identity, claims.issuer):
        if not value or not value.isprintable():
            raise SignatureRejected(f"the certificate holds {quoted(value)}, which is not a printable name")
    return claims


def check_leaf(certificate: x509.Certificate) -> None:
    """Make sure that a certificate is one to sign code with, not an authority's (Fulcio, certificate-specification)."""
    extensions = _extensions(certificate)
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise SignatureRejected("the certificate does not say what it is for") from error
    if not usage.digital_signature or usage.key_cert_sign or ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise SignatureRejected("the certificate is not one to sign code with")
    try:
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return
    if constraints.ca:
        raise SignatureRejected("the certificate is an authority's, not a signer's")


def _extensions(certificate: x509.Certificate) -> x509.Extensions:
    """Return the extensions, which are parsed only when they are first asked for."""
    try:
        return certificate.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise SignatureRejected("the certificate's extensions cannot be read") from error


def _read_identity(certificate: x509.Certificate) -> str:
    try:
        names = list(_extensions(certificate).get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        names = []
    if len(names) != 1:
        raise SignatureRejected(f"the certificate names {len(names)} identities, not one")
    name = names[0]
    if not isinstance(name, x509.UniformResourceIdentifier | x509.RFC822Name):
        raise SignatureRejected("the certificate's identity is neither a URI nor a mail address")
    return name.value


def _read_issuer(certificate: x509.Certificate) -> str:
    found: set[str] = set()
    if (raw := _find(certificate, _ISSUER_RAW)) is not None:
        found.add(_decode(bytes.decode, raw))
    if (raw := _find(certificate, _ISSUER_DER)) is not None:
        found.add(_decode(lambda der: asn1.decode_der(str, der), raw))
    if len(found) != 1:
        raise SignatureRejected("the certificate names no issuer" if not found else "the certificate names two issuers")
    return found.pop()


def _find(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    try:
        extension: Any = _extensions(certificate).get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    value: bytes = extension.value
    return value


def _decode(decoder: Any, raw: bytes) -> str:
    try:
        text: str = decoder(raw)
    except ValueError as error:
        raise SignatureRejected("the certificate's issuer cannot be read") from error
    return text
